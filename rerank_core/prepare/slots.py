"""Slots: what the marks of a rule stand for (see patterns.py). Each function says whether a text is such a thing.

Names are told from prose by their form, because no list has all of them. In alphabets with capitals a name is one or two
capitalised words, none of which is a word of grammar. In Chinese and Japanese it is a few characters, none of grammar; and
a person in Chinese begins with a surname.
"""

import re

import regex

from rerank_core.prepare.terms import HAN, HANGUL, KANA

CJK = HAN + KANA + HANGUL
MAX_NAMES = 10
MAX_PHRASE = 14  # characters of Chinese; a word of another language is as two

_BETWEEN_NAMES = re.compile(
    r"\s?[,;/|&+:_–—]\s?(?:(?:and|und|et|y)\s)?|\s-\s|\s(?:and|und|et|y|e|via|for|für|pour|para|with|mit|avec|con|in|en|à)\s"
)
_BETWEEN_CJK_NAMES = re.compile(r"\s?[;/|&+、:_–—-]\s?")  # a comma parts sentences there
_HAS_CJK = re.compile(f"[{CJK}]")
_NOTE = re.compile(r"\s?\([^()]{1,30}\)$")  # (dpa), (实习)
_CLAUSE = re.compile(r"[,;:、，；：。！？]|[.!?](?=\s)")
_CODE = re.compile(r"\s?[A-Z]{1,3}\d{1,4}$")  # of an editor: SN117

# ── Chinese and Japanese ────────────────────────────────────────────────────────────────────────────

_GRAMMAR = "的了是在被把吗嗎呢何谁誰哪怎不没沒与與就都而将將让讓从這这那其吧啊ぁ-ゖ"
_CJK_NAME = regex.compile(rf"[[\p{{L}}\p{{N}}·《》]--[{_GRAMMAR}]]{{2,14}}", regex.VERSION1)
_COMPOUND_SURNAMES = "欧阳|司马|上官|诸葛|东方|皇甫|尉迟|公孙|慕容|司徒|令狐|夏侯"
_SURNAMES = (
    "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜戚谢邹喻柏水窦章云苏潘葛奚范彭郎鲁韦昌马苗凤花方俞任袁柳"
    "酆鲍史唐费廉岑薛雷贺倪汤滕殷罗毕郝邬安常乐于时傅皮卞齐康伍余元卜顾孟平黄和穆萧尹姚邵湛汪祁毛禹狄米贝明臧计伏成戴谈宋茅庞"
    "熊纪舒屈项祝董梁杜阮蓝闵席季麻强贾路娄危江童颜郭梅盛林刁钟徐邱骆高夏蔡田樊胡凌霍虞万支柯昝管卢莫经房裘缪干解应宗丁宣"
    "邓郁单杭洪包诸左石崔吉钮龚程邢裴陆荣翁荀羊惠甄曲家封储靳段富焦巴牧隗山谷车侯宓蓬全班仰秋仲伊宫宁仇栾暴甘祖武符刘景詹"
    "束龙叶幸司韶郜黎蓟薄印宿白怀蒲邰鄂索咸籍赖卓蔺屠蒙池乔阴胥能苍闻党翟谭贡劳逄姬申冉宰郦雍璩桑桂牛寿通边扈燕冀浦尚农温别庄"
    "晏柴瞿阎慕连茹习宦艾鱼容向古易慎戈廖庾终暨居衡步耿满弘匡国文寇广禄阙东欧沃利蔚越夔隆师巩聂晁敖融冷訾辛阚那简饶沙鞠丰关"
    "相查游岳帅涂肖覃佟仝佘代信褟么亓祖"
)
_CHINESE_PERSON = re.compile(
    rf"(?:(?:{_COMPOUND_SURNAMES})[{HAN}]{{1,2}}|[{_SURNAMES}][{HAN}*×]{{1,2}}|[{HAN}]{{2,6}}·[{HAN}]{{2,6}})"
)

# ── Alphabets with capitals ─────────────────────────────────────────────────────────────────────────

MAX_CAPITALISED = (
    2  # words of a single name, beside initials, particles and words such as "Images"; one more in a list
)
_CAPITALISED = regex.compile(r"\p{Lu}[\p{L}\p{M}\p{N}'’.&+-]*|[\w-]+\.[a-z]{2,3}")
_INITIALS = regex.compile(r"(?:\p{Lu}\.-?)+")
_ARTICLES = frozenset("The Al El La Las Los Le Les Der Die Das".split())  # of names: The Guardian, Le Monde
_PARTICLES = frozenset("al bin da de del della den der di do dos du el ibn la le of the van von zu".split())
_KINDS = frozenset(
    "agency archive archives group images journal magazine media network news photo photos pictures post press studio studios"
    " times tribune".split()
)
_AGENCIES = re.compile(
    r"(?:afp|alamy|anadolu|ani|ansa|ap|apa|archiv|archivo|belga|ddp|dpa|efe|epa|epd|file|getty|ians|imago|interfax|istock|jiji|kna"
    r"|kyodo|lusa|pexels|picture alliance|pixabay|privat|pti|reuters|shutterstock|sid|tass|unsplash|xinhua|yonhap)(?:[-./]\w+)*",
    re.IGNORECASE,
)
_FIRST_NAMES = frozenset(("May", "Will"))
_NOT_NAMES = frozenset(
    "a an and are as at be but by can could did do does for from had has have he her his how if in into is it its may must never"
    " no not off on or our out she should so than that their then there these they this to under unknown up was we were what"
    " when where which who whom whose why will with without would you your"
    " aber auch das dem den der des die ein eine einem einen einer eines für ich ihr ist kein keine mit nicht nie niemand noch sie"
    " sind so und unbekannt von war warum was wer wie wir wird wo zu"
    " al como con cómo cuál cuándo de del desconocida desconocido dónde el ella en es esta este fue la las lo los no nunca para"
    " pero por que quién qué se ser sin su sus un una y"
    " au aux avec ce ces cette comment dans de des du elle en est et il inconnue inconnu jamais la le les leur mais ne notre nous où par"
    " pas pour pourquoi quand que qui sa sans ses son sur un une vous à".split()
)


def are_names(text: str, *, persons: bool = False) -> bool:
    """Whether a text is a list of names of people, agencies and brands; or of people alone."""
    between = _BETWEEN_CJK_NAMES if _HAS_CJK.search(text) else _BETWEEN_NAMES
    names = [name for name in between.split(text) if name]
    longest = MAX_CAPITALISED + (len(names) > 1)
    return 0 < len(names) <= MAX_NAMES and all(_is_name(name, persons, longest) for name in names)


def _is_name(name: str, is_person: bool, longest: int) -> bool:
    if not _HAS_CJK.search(name):
        return _is_latin_name(_NOTE.sub("", name), longest)
    words = _NOTE.sub("", _CODE.sub("", name)).split()
    return len(words) <= MAX_NAMES and all(
        _is_cjk_name(word, is_person) if _HAS_CJK.search(word) else _is_latin_name(word, longest)
        for word in words
    )


def _is_cjk_name(word: str, is_person: bool) -> bool:
    return _CHINESE_PERSON.fullmatch(word) is not None or (
        not is_person and _CJK_NAME.fullmatch(word) is not None
    )


def _is_latin_name(name: str, longest: int) -> bool:
    if _AGENCIES.fullmatch(name):
        return True
    words = name.split()
    if len(words) > 1 and words[0] in _ARTICLES:
        del words[0]
    while len(words) > 1 and words[-1].lower() in _KINDS:
        del words[-1]
    if not words or words[0] in _PARTICLES or words[-1] in _PARTICLES:
        return False
    own = [word for word in words if word not in _PARTICLES and not _INITIALS.fullmatch(word)]
    return 0 < len(own) <= longest and all(
        _CAPITALISED.fullmatch(word) is not None and (word.lower() not in _NOT_NAMES or word in _FIRST_NAMES)
        for word in own
    )


def is_phrase(text: str) -> bool:
    """Whether a text is a few words of one clause."""
    long = len(text) if _HAS_CJK.search(text) else 2 * len(text.split())
    return 0 < long <= MAX_PHRASE and _CLAUSE.search(text) is None


# ── Dates and times, of folded texts ────────────────────────────────────────────────────────────────

_MONTHS = (
    r"(?:jan(?:uary|uar|vier|eiro)?|feb(?:ruary|ruar|rero)?|f[ée]v(?:rier)?|mar(?:ch|s|zo)?|märz|apr(?:il)?|avr(?:il)?|abr(?:il)?|may|mai"
    r"|mayo|jun[ei]?|juin|junio|jul[iy]?|juil(?:let)?|julio|aug(?:ust)?|ao[uû]t|ago(?:sto)?|sept?(?:ember|embre|iembre)?"
    r"|o[ck]t(?:ober|obre|ubre)?|nov(?:ember|embre|iembre)?|de[cz](?:ember)?|d[ée]c(?:embre)?|dic(?:iembre)?)\b"
)
_DAYS = (
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|(?:mon|tues?|wed|thu(?:rs?)?|fri|sat|sun)\b|(?:mon|diens|donners|frei|sams|sonn)tag\b|mittwoch\b"
    r"|(?:lun|mar|mercre|jeu|vendre|same)di\b|dimanche\b|(?:lunes|martes|miércoles|jueves|viernes|sábado|domingo)\b"
)
_AROUND = r"(?:[ap]\.?m\b\.?|uhr|hrs?|h|gmt|utc|ces?t|e[sd]?t|p[sd]?t|bst|ist|jst|at|um|à|a las|le|el|de|del|on|the|of)\b"
_PART = (
    rf"\d{{1,2}}h\d{{2}}\b|\d{{1,4}}(?:st|nd|rd|th|er|º)?(?!\d)|{_MONTHS}|{_DAYS}|{_AROUND}"
    r"|[年月日时時分秒点點号號]|上午|下午|晚间|凌晨|午前|午後|[昨今][天日]|(?:星期|周|週)[一二三四五六日天]|[月火水木金土日](?=\))"
)
_TIME = re.compile(rf"(?:{_PART})(?:[\s,.:/|()t·+-]*+(?:{_PART})){{1,15}}\)?")
_TELLS_DATE = re.compile(rf"\b(?:19|20)\d\d(?!\d)|\d[年月]|\b{_MONTHS}")
_TELLS_CLOCK = re.compile(r"\d:\d\d|\d[h时時点點]")


def is_time(text: str) -> bool:
    """Whether a folded text is a date, a time or both."""
    return is_date(text) or (_TELLS_CLOCK.search(text) is not None and _TIME.fullmatch(text) is not None)


def is_date(text: str) -> bool:
    """Whether a folded text is a date, with or without a time."""
    return _TELLS_DATE.search(text) is not None and _TIME.fullmatch(text) is not None


AGO = re.compile(
    r"\b(?:\d+|an?|one) (?:second|minute|min|hour|hr|day|week|month|year)s? ago\b|\d+ ?(?:秒|分钟|小时|天|周|个月|年)前"
    r"|\d+ ?(?:分|时间|日)前|\bvor \d+ (?:minuten?|stunden?|tag(?:en)?)\b|\bhace \d+ (?:minutos?|horas?|días?)\b"
    r"|\bil y a \d+ (?:minutes?|heures?|jours?)\b"
)
DATE = re.compile(
    r"\b\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?(?: \d{1,2}:\d{2}(?::\d{2})?)?|\b\d{1,2}[-/月]\d{1,2}日? \d{1,2}:\d{2}"
    rf"|\b{_MONTHS}\.? \d{{1,2}},? \d{{4}}\b|\b\d{{1,2}}\.? {_MONTHS}\.? \d{{4}}\b|\b\d{{1,2}}[./]\d{{1,2}}[./]\d{{4}}\b"
)
