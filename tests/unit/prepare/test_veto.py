"""Two texts in the same words are two stories if they differ in a name, a negation or the outcome. All texts are invented."""

from difflib import SequenceMatcher

import pytest
from benchmarks.invented import words_of

from rerank_core.prepare import shingles, story, veto
from rerank_core.prepare.story import Story


def text(lang: str, title: str, *sentences: str, end: str = "") -> str:
    """A title, these sentences in a paragraph, and four sentences that say nothing in particular."""
    blank = "" if lang in ("zh", "ja", "th") else " "
    return "\n".join([title, "", blank.join(sentences), blank.join(words_of(lang)["fill"][:4]) + end])


def between(lang: str, one: str, other: str) -> str | None:
    """The veto between two texts; it does not depend on their order."""
    first, second = Story(one, lang=lang), Story(other, lang=lang)
    found = veto.veto(first, second)
    assert veto.veto(second, first) == found
    return found


def said(lang: str, one: str, other: str, title: str = "") -> str | None:
    """The veto between two texts that differ in their first sentence."""
    return between(lang, text(lang, title, one), text(lang, title, other))


@pytest.mark.parametrize(
    ("lang", "form", "one", "other"),
    [
        (
            "en",
            "The weather service has issued a warning for {} County until the evening.",
            "Harlow",
            "Benton",
        ),
        (
            "en",
            "{} beat the guests on Saturday thanks to a goal in the last minute.",
            "Rovers United",
            "Athletic Club",
        ),
        ("en", "The board of the harbour company has appointed {} to run it.", "Alda Ruiz", "Tom Berg"),
        ("en", "On Tuesday “{}” raised its forecast for the year by a good deal.", "Northgate", "Fenwick"),
        (
            "de",
            "Am Montag wurde in {} nach langer Zeit ein neues Krankenhaus eröffnet.",
            "Altdorf",
            "Seeheim",
        ),
        ("es", "El lunes abrió en {} un nuevo hospital con un área para niños.", "Almedina", "Monteluz"),
        ("ru", "Метеослужба объявила в {} штормовое предупреждение до самого вечера.", "Рязани", "Казани"),
        ("ru", "В субботу «{}» обыграл гостей благодаря голу на последней минуте.", "Зенит", "Урал"),
        (
            "zh",
            "气象台今天上午在{}发布暴雨黄色预警信号，预计未来几个小时内将出现短时强降雨。",
            "青林市",
            "海沙市",
        ),
        ("zh", "经过多年建设，一座设有儿科的新医院周一在{}正式启用。", "北京", "上海"),
        ("zh", "董事会宣布任命{}为公司财务总监，任命自下个月起生效。", "李文博", "李文涛"),
        ("hi", "मौसम विभाग ने सोमवार को {} जिले में तेज आंधी की चेतावनी जारी की है।", "रामपुर", "सीतापुर"),
        ("ar", "أصدرت هيئة الأرصاد يوم الاثنين تحذيرا من عاصفة في {} يستمر حتى المساء.", "الواحة", "النخيل"),
        ("ja", "気象台は今日午前、{}に大雨警報を発表し、警戒するよう呼びかけた。", "青林市", "緑川市"),
        ("ko", "기상청은 오늘 오전 {}에 호우 경보를 내리고 대비하라고 당부했다.", "청림시", "백운시"),
        ("th", "กรมอุตุนิยมวิทยาออกประกาศเตือนพายุรุนแรงในอำเภอ{}มีผลถึงเย็นวันนี้", "บ้านสวน", "หนองบัว"),
    ],
)
def test_names_that_differ_at_one_place_keep_texts_apart(lang: str, form: str, one: str, other: str) -> None:
    assert said(lang, form.format(one), form.format(other)) == "names"


@pytest.mark.parametrize(
    ("lang", "form", "one", "other"),
    [
        ("en", "Severe storm warning for {} County issued", "Harlow", "Benton"),
        ("en", "Severe Storm Warning for {} County Issued", "Harlow", "Benton"),
        ("en", "SEVERE STORM WARNING FOR {} COUNTY ISSUED", "HARLOW", "BENTON"),
        ("de", "Unwetterwarnung für den Kreis {} bis zum Abend", "Altdorf", "Seeheim"),
        ("zh", "{}气象台发布暴雨黄色预警信号", "青林市", "海沙市"),
        ("hi", "{} जिले में तेज आंधी की चेतावनी जारी", "रामपुर", "सीतापुर"),
        ("ja", "{}に大雨警報を発表、夕方まで警戒", "青林市", "緑川市"),
    ],
)
def test_titles_that_differ_in_a_name_keep_texts_apart_that_are_else_the_same(
    lang: str, form: str, one: str, other: str
) -> None:
    sentence = words_of(lang)["fill"][5]
    assert (
        between(lang, text(lang, form.format(one), sentence), text(lang, form.format(other), sentence))
        == "titles"
    )


@pytest.mark.parametrize(
    ("lang", "one", "other"),
    [
        (
            "en",
            "The jury acquitted the minister after two days.",
            "The jury convicted the minister after two days.",
        ),
        (
            "ru",
            "Бывший министр оправдан судом в четверг утром.",
            "Бывший министр осуждён судом в четверг утром.",
        ),
    ],
)
def test_titles_in_other_words_keep_texts_apart_whose_own_bodies_have_these_words(
    lang: str, one: str, other: str
) -> None:
    """A reprint under another headline has the body of the first print, so its headline has no word of its own body alone."""
    first, second = text(lang, one.rstrip("."), one, "x"), text(lang, other.rstrip("."), other, "y")
    assert between(lang, first, second) == "titles"


@pytest.mark.parametrize(
    ("lang", "form", "one", "other"),
    [
        (
            "en",
            "The commission said that {} has won the race, and that {} conceded at night.",
            "Alda Ruiz",
            "Tom Berg",
        ),
        ("zh", "选举委员会周日晚间宣布，{}在市长选举中获胜，{}承认败选并表示祝贺。", "李文博", "赵玉兰"),
        (
            "hi",
            "चुनाव आयोग ने कहा कि चुनाव {} ने जीत लिया है जबकि आधी रात को {} ने हार मान ली।",
            "अनिल वर्मा",
            "दीपा नायर",
        ),
    ],
)
def test_names_that_have_changed_places_keep_texts_apart(lang: str, form: str, one: str, other: str) -> None:
    assert said(lang, form.format(one, other), form.format(other, one)) == "swap"


@pytest.mark.parametrize(
    ("lang", "one", "other"),
    [
        (
            "en",
            "The jury found the banker guilty on Monday.",
            "The jury found the banker not guilty on Monday.",
        ),
        ("en", "The club said it will sign the goalkeeper.", "The club said it won't sign the goalkeeper."),
        (
            "en",
            "Doctors called the old pilot fit to fly again.",
            "Doctors called the old pilot unfit to fly again.",
        ),
        (
            "de",
            "Die Stadt hat die neue Brücke freigegeben.",
            "Die Stadt hat die neue Brücke nicht freigegeben.",
        ),
        (
            "es",
            "El jurado lo declaró culpable el lunes pasado.",
            "El jurado lo declaró no culpable el lunes pasado.",
        ),
        (
            "ru",
            "Присяжные признали банкира виновным вчера днём.",
            "Присяжные признали банкира невиновным вчера днём.",
        ),
        (
            "zh",
            "陪审团周一裁定这名前银行家有罪，审判持续了整个春天。",
            "陪审团周一裁定这名前银行家无罪，审判持续了整个春天。",
        ),
        (
            "hi",
            "अदालत ने कहा कि पूर्व मंत्री दोषी हैं और फैसला सुनाया।",
            "अदालत ने कहा कि पूर्व मंत्री दोषी नहीं हैं और फैसला सुनाया।",
        ),
        (
            "ja",
            "陪審は月曜日、元銀行家に有罪の評決を言い渡した。",
            "陪審は月曜日、元銀行家に無罪の評決を言い渡した。",
        ),
        ("th", "คณะลูกขุนเห็นว่าอดีตนายธนาคารมีความผิด", "คณะลูกขุนเห็นว่าอดีตนายธนาคารไม่มีความผิด"),
    ],
)
def test_a_negation_of_one_text_alone_keeps_texts_apart(lang: str, one: str, other: str) -> None:
    assert said(lang, one, other) == "negation"


@pytest.mark.parametrize(
    ("lang", "one", "other"),
    [
        ("en", "Shares rose after the report of the bank.", "Shares fell after the report of the bank."),
        ("en", "He was found dead on Monday.", "He was found alive on Monday."),
        ("en", "Voters in the eastern district choose.", "Voters in the western district choose."),
        ("en", "Police have identified the victim.", "Police have yet to identify the victim."),
        ("de", "Es war der erste Sieg der Saison hier.", "Es war der zweite Sieg der Saison hier."),
        ("es", "La bolsa sube con fuerza el lunes.", "La bolsa baja con fuerza el lunes."),
        ("ru", "Курс рубля вырос после отчёта банка.", "Курс рубля упал после отчёта банка."),
    ],
)
def test_the_opposite_of_a_word_keeps_texts_apart(lang: str, one: str, other: str) -> None:
    assert said(lang, one, other) == "negation"
    assert (
        said(lang, f"{one} {words_of(lang)['fill'][6]}", f"{other} {words_of(lang)['fill'][6]}") == "negation"
    )


def test_a_negation_near_the_beginning_keeps_texts_apart_whatever_comes_before() -> None:
    one = "Der Rat hat das Gesetz am Abend beschlossen."
    assert said("de", one, one.replace("am", "nicht am")) == "negation"


@pytest.mark.parametrize(
    ("lang", "one", "other"),
    [
        ("ja", "経済産業省の検査は陽性だったと発表した。", "経済産業省の検査は陰性だったと発表した。"),
        ("ja", "月曜日、青林市に大雨警報が出たと発表した。", "月曜日、緑林市に大雨警報が出たと発表した。"),
        (
            "ko",
            "이사회는 월요일 김영수 씨를 사장으로 임명했다.",
            "이사회는 월요일 김영호 씨를 사장으로 임명했다.",
        ),
    ],
)
def test_one_character_of_a_name_keeps_texts_apart(lang: str, one: str, other: str) -> None:
    assert said(lang, one, other) is not None


def test_another_particle_keeps_nothing_apart() -> None:
    one = "市長は月曜日、新しい橋の開通を市民と祝った。"
    assert said("ja", one, one.replace("市長は", "市長が")) is None
    one = "시장은 월요일 새 다리의 개통을 시민들과 축하했다."
    assert said("ko", one, one.replace("시장은", "시장이")) is None


@pytest.mark.parametrize(
    ("lang", "one", "other"),
    [
        ("en", "Quake hits Nepal", "Quake hits Peru"),
        ("de", "Erdbeben erschüttert ganz Nepal", "Erdbeben erschüttert ganz Peru"),
        ("zh", "智利发生地震", "秘鲁发生地震"),
        ("ja", "ペルーで地震", "ネパールで地震"),
        ("hi", "नेपाल में भूकंप", "चिली में भूकंप"),
    ],
)
def test_short_titles_that_differ_in_a_name_keep_texts_apart(lang: str, one: str, other: str) -> None:
    sentence = words_of(lang)["fill"][5]
    assert between(lang, text(lang, one, sentence), text(lang, other, sentence)) == "titles"


def test_a_negation_in_one_of_two_titles_of_one_form_keeps_texts_apart() -> None:
    sentence = "The jury spoke on Monday."
    one, other = "Jury finds former banker guilty", "Jury finds former banker not guilty"
    assert between("en", text("en", one, sentence), text("en", other, sentence)) == "negation"


def test_the_only_word_that_differs_keeps_texts_apart_but_not_one_of_several() -> None:
    one = "The council approved the new tram line after a debate of four hours."
    assert said("en", one, one.replace("approved", "delayed")) == "outcome"
    assert said("en", one, one.replace("approved", "endorsed").replace("debate", "discussion")) is None
    name = "Iran has recalled its ambassador for talks, the ministry said."
    assert said("en", name, name.replace("Iran", "Iraq")) == "outcome", "a name at the start of a sentence"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The committee recieved the papers on Monday.", "The committee received the papers on Monday."),
        ("It was the first win of the new season here.", "It is the first win of the new season here."),
        (
            "The mayor said today that trams will run again.",
            "The mayor said yesterday that trams will run again.",
        ),
        ("The singer Zoë Lind opened the new hall here.", "The singer Zoe Lind opened the new hall here."),
        ("The mayor walked across the bridge at noon.", "Mayor Dupont walked across the bridge at noon."),
        ("People said that the old bridge was not safe, and that they knew why.", "People said so."),
        ("The forecast is not only good, it is the best.", "The forecast is not just good, it is the best."),
    ],
)
def test_what_a_second_print_says_otherwise_keeps_nothing_apart(one: str, other: str) -> None:
    assert said("en", one, other) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("By Dora Quill\n", "By Max Penner and Eve Stone\n"),
        ("By our correspondent Dora Quill\n", "By our correspondent Max Penner\n"),
        ("HARBOUR CITY (The Post) – ", "Seaport, 3 November (Gazette) – "),
        ("", "By Max Penner\nHarbour City\n"),
        ("A short summary of the day for readers in a hurry.\nBy Dora Quill\n", "By Max Penner\n"),
    ],
)
def test_bylines_and_datelines_of_two_papers_keep_nothing_apart(one: str, other: str) -> None:
    sentence = "The mayor walked across the new bridge at noon."
    first, second = (text("en", "Bridge opens", opening + sentence) for opening in (one, other))
    assert between("en", first, second) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("本报北京电 ", "本网上海电 "),
        ("新华社北京10月8日电（记者钱小楼）", "中新网北京10月8日电（记者孙大海）"),
        ("本报记者 钱小楼\n", "通讯员 孙大海\n"),
        ("本报讯 ", "据海港日报消息，"),
    ],
)
def test_chinese_bylines_and_datelines_keep_nothing_apart(one: str, other: str) -> None:
    sentence = "有关部门周一表示，新的电车线路将于三月开始施工。"
    first, second = (text("zh", "新电车线路三月开工", opening + sentence) for opening in (one, other))
    assert between("zh", first, second) is None


@pytest.mark.parametrize(
    ("lang", "form", "one", "other"),
    [
        ("en", "A storm warning is in force until this evening in the county of {}.", "Harlow", "Benton"),
        ("zh", "气象台今天上午发布的暴雨黄色预警信号适用于{}。", "青林市", "海沙市"),
    ],
)
def test_a_name_at_the_end_of_the_last_sentence_keeps_texts_apart(
    lang: str, form: str, one: str, other: str
) -> None:
    first, second = (
        text(lang, "", *words_of(lang)["fill"][5:7]) + form.format(name) for name in (one, other)
    )
    assert between(lang, first, second) == "names"


def test_a_name_that_the_other_text_has_as_a_plain_word_keeps_texts_apart() -> None:
    form = "On Saturday {} beat the guests of the borough in an athletic game that had looked like a draw."
    assert said("en", form.format("Athletic"), form.format("Borough")) == "names"


def test_control_a_name_in_the_first_sentence_is_no_byline() -> None:
    sentence = "{} walked across the new bridge at noon."
    assert said("en", sentence.format("Anna Keller"), sentence.format("Petra Lind")) == "names"


def test_credits_at_the_end_keep_nothing_apart() -> None:
    one, other = (
        text("en", "Bridge opens", "The bridge is open.", end=f"\n{end}")
        for end in ("(The Post)", "Copyright Gazette")
    )
    assert between("en", one, other) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bridge over the Lys opens at last", "New bridge eases traffic"),
        ("Bridge over the Lys opens at last", "Bridge over the Lys unveiled at last"),
        ("New bridge opens, says agency", "New bridge opens, says courier"),
        ("Mayor opens bridge", "Official opens bridge"),
        ("Bridge over Lys opens", "Bridge over Lys unveiled"),
        ("BRIDGE OVER THE LYS OPENS AT LAST", "MAYOR SHUTS FERRY, HAILS NEW ERA"),
        ("Bridge Over the Lys Opens at Last", "Lys Bridge Finally Opened by Mayor"),
        ("No Ferry From Monday as Bridge Opens", "Bridge Opens on Monday, Ferry Ends"),
    ],
)
def test_another_headline_keeps_nothing_apart(one: str, other: str) -> None:
    sentence = (
        "An official said that the mayor opened the bridge over the Lys, and the ferry made its last trip."
    )
    assert between("en", text("en", one, sentence), text("en", other, sentence)) is None


def test_capitals_alone_keep_nothing_apart_but_names_in_capitals_do() -> None:
    form = text("en", "Storm warning", "The weather service has issued a warning for {} County.")
    harlow, benton = form.format("Harlow"), form.format("Benton")
    assert between("en", harlow, harlow.upper()) is None
    assert between("en", harlow.upper(), benton.upper()) == "names"
    assert between("en", harlow.lower(), benton.lower()) == "names"


def test_a_figure_keeps_texts_apart_in_either_script() -> None:
    form = "公司第三季度利润增长{}，各个市场的销售额都有增长。"
    assert said("zh", form.format("12%"), form.format("15%")) == "marks"
    assert said("zh", form.format("三万元"), form.format("三萬元")) is None


def test_control_without_the_list_a_negation_keeps_nothing_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "negations", lambda lang: story.Negations())
    one = "The jury found the banker guilty on Monday."
    assert said("en", one, one.replace("guilty", "not guilty")) is None


def test_every_language_of_the_list_has_negations_in_the_form_in_which_words_are_compared() -> None:
    lines = [line for line in story.NEGATIONS.read_text(encoding="utf-8").splitlines() if ":" in line]
    codes = [line.partition(":")[0] for line in lines if not line.startswith("//")]
    assert len(codes) == len(set(codes)) > 50
    for code in codes:
        assert story.negations(code).words, code
    assert "نيست" in story.negations("fa").words, "folded as texts are"
    assert not story.negations("xx").words


def test_words_that_nobody_writes_are_not_compared_letter_by_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    class Counted(SequenceMatcher[str]):
        def __init__(self, isjunk: None, one: str, other: str, autojunk: bool = True) -> None:
            compared.append(len(one) * len(other))
            super().__init__(isjunk, one, other, autojunk)

    monkeypatch.setattr(veto, "SequenceMatcher", Counted)
    form = "A court found the former banker {} on Monday after a trial in the spring."
    assert said("en", form.format("guilty" * 500), form.format("innocent" * 500)) == "outcome"
    assert max(compared) <= veto.MAX_SPELLED**2


def test_titles_that_can_have_no_form_in_common_are_not_laid_side_by_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 300 signs of two kinds cost a third of a second; a text is compared with thirty leaders.
    monkeypatch.setattr(SequenceMatcher, "ratio", None)
    first, second = (f"{title[:300]}\n\n{'市' * 200}" for title in ("甲" * 300, "乙甲" * 150))
    assert veto.veto(Story(first, lang="zh"), Story(second, lang="zh")) is None


def test_a_character_that_stands_for_many_makes_no_long_text() -> None:
    assert len(shingles.comparable("\ufdfa" * 1_000, lang="ar")) == 2_000
    assert shingles.comparable("The bridge is ½ ㎞ long…", lang="en") == "The bridge is 1⁄2 km long..."
