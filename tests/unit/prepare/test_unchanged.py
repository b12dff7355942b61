"""Correct text stays as it is, in every script: as a title, as a plain body and as a paragraph of HTML."""

import html

import pytest

from rerank_core.prepare.cleaning import Cleaning, Tally, clean

SENTENCES = (
    "Il est arrivé à la gare à 18 h.",
    "Il va à\u00a0la gare, à\u00a0Paris, et voilà\u00a0!",
    "VÃO\u00a0ÀS RUAS: SÃO\u00a0PAULO E MARANHÃO\u00a0PARAM.",
    "ĐÃ\u00a0CÓ NGƯỜI BỊ THƯƠNG, NÃ\u00a0.",
    "Prix : 1 200 € — « tout compris », dit-il.",
    "SÃO PAULO: ÔNIBUS NÃO CIRCULAM NO SÁBADO.",
    "ĐÃ CÓ 3 NGƯỜI BỊ THƯƠNG Ở ĐÀ NẴNG.",
    "CÔTE D’IVOIRE : L’ÉLECTION EST REPORTÉE.",
    "Ça coûte cher à l’État, où l’œuvre naît.",
    "Die Straße ist 3 m breit; für Äpfel, Öl und Übel.",
    "¿Qué pasó mañana en Ñuñoa? ¡Nada!",
    "L·l geminada: paral·lel, col·legi.",
    "Zażółć gęślą jaźń, rzekł król.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "Árvíztűrő tükörfúrógép a fővárosban.",
    "Ştefan şi Țepeș au plecat în Bucureşti.",
    "İstanbul’da ışıklar söndü, ğ ve ş kaldı.",
    "Ísafjörður: þetta er æðislegt.",
    "Smørrebrød på Ærø, sagde åen.",
    "Τα μέτρα ανακοινώθηκαν ΣΉΜΕΡΑ στην Αθήνα.",
    "Москва открыла ещё одну станцию — «Ёлкино».",
    "Київ: об’єднання громад у їхній області.",
    "تهران: می‌خواهم کتاب‌های تازه بخوانم.",
    "قال الوزير: «لن ندفع»، وغادر القاعة.",
    "שָׁלוֹם לכולם, אמר ראש־הממשלה.",
    "दिल्ली में सोमवार को भारी बारिश हुई।",
    "ঢাকায় প্রধানমন্ত্রী ভাষণ দিয়েছেন।",
    "தமிழ்நாடு முதல்வர் பேசினார்.",
    "กรุงเทพมีน้ำท่วมหลายจุด",
    "မြန်မာနိုင်ငံတွင် မိုးရွာသည်။",
    "ទីក្រុងភ្នំពេញមានភ្លៀងធ្លាក់ខ្លាំង។",
    "今日气温３７℃，湿度８０％，风力≥６级。",
    "國務院印發《規劃》：到２０３０年「領先」！（完）",
    "衆院選で自民党が圧勝、ガソリンは１㍑１８０円。",
    "서울시, 새 배수펌프장 검사 통과.",
    "The ﬁnal ofﬁce ﬂoor cost £5m – “too much”.",
    "Water is H₂O, area is 10 m², ½ is 50 %.",
    "AT&T rose 3 % as R&D spending fell; 1 < 2.",
    "Ⅳ. Kapitel: № 5, § 12, © und ™ bleiben.",
    "👨‍👩‍👧 and 🇫🇷 won 3–2, the naïve café said.",
    "Hawaiʻi’s Kīlauea erupted at 5 p.m.",
)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_correct_sentence_stays_letter_by_letter(sentence: str) -> None:
    wanted = sentence.replace("\u00a0", " ").replace("\u202f", " ")
    for raw in (
        sentence,
        html.escape(sentence),
        f"<p>{html.escape(sentence)}</p>",
        f"<p>{html.escape(sentence)}</p>\n<p>x</p>",
    ):
        text = clean(raw, cleaning=Cleaning(), tally=Tally())
        assert text.removesuffix("\nx") == wanted


def test_there_are_enough_of_them() -> None:
    assert len(set(SENTENCES)) >= 35
