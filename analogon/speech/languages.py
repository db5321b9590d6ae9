"""Languages: their names, those that the names of voices carry, and what a text is plainly written in."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Final

__all__ = ["guess_language", "language_name", "primary", "voice_locale", "voice_names"]

# Each language's English name first, then what voices call it.
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "af": ("Afrikaans",),
    "am": ("Amharic",),
    "ar": ("Arabic", "العربية"),
    "az": ("Azerbaijani",),
    "bg": ("Bulgarian", "български"),
    "bn": ("Bengali", "Bangla"),
    "bs": ("Bosnian",),
    "ca": ("Catalan", "català"),
    "cs": ("Czech", "čeština"),
    "cy": ("Welsh",),
    "da": ("Danish", "dansk"),
    "de": ("German", "Deutsch"),
    "el": ("Greek", "Ελληνικά"),
    "en": ("English",),
    "eo": ("Esperanto",),
    "es": ("Spanish", "español", "castellano"),
    "et": ("Estonian", "eesti"),
    "eu": ("Basque", "euskara"),
    "fa": ("Persian", "Farsi"),
    "fi": ("Finnish", "suomi"),
    "fr": ("French", "français"),
    "ga": ("Irish", "Gaeilge"),
    "gl": ("Galician", "galego"),
    "gu": ("Gujarati",),
    "he": ("Hebrew", "עברית"),
    "hi": ("Hindi", "हिन्दी"),
    "hr": ("Croatian", "hrvatski"),
    "hu": ("Hungarian", "magyar"),
    "hy": ("Armenian",),
    "id": ("Indonesian", "Indonesia"),
    "is": ("Icelandic", "íslenska"),
    "it": ("Italian", "italiano"),
    "ja": ("Japanese", "日本語"),
    "ka": ("Georgian",),
    "kk": ("Kazakh",),
    "kn": ("Kannada",),
    "ko": ("Korean", "한국의", "한국어"),
    "la": ("Latin",),
    "lt": ("Lithuanian",),
    "lv": ("Latvian",),
    "mk": ("Macedonian",),
    "ml": ("Malayalam",),
    "mr": ("Marathi",),
    "ms": ("Malay",),
    "mt": ("Maltese",),
    "my": ("Burmese",),
    "nb": ("Norwegian Bokmål",),
    "ne": ("Nepali",),
    "nl": ("Dutch", "Nederlands"),
    "no": ("Norwegian", "norsk"),
    "pa": ("Punjabi",),
    "pl": ("Polish", "polski"),
    "pt": ("Portuguese", "português"),
    "ro": ("Romanian", "română"),
    "ru": ("Russian", "русский"),
    "si": ("Sinhala",),
    "sk": ("Slovak",),
    "sl": ("Slovenian",),
    "sq": ("Albanian",),
    "sr": ("Serbian",),
    "sv": ("Swedish", "svenska"),
    "sw": ("Swahili",),
    "ta": ("Tamil",),
    "te": ("Telugu",),
    "th": ("Thai", "ไทย"),
    "tr": ("Turkish", "Türkçe"),
    "uk": ("Ukrainian", "українська"),
    "ur": ("Urdu",),
    "uz": ("Uzbek",),
    "vi": ("Vietnamese",),
    "yue": ("Cantonese", "粤語", "粵語"),
    "zh": ("Chinese", "Mandarin", "普通话", "國語", "中文"),
    "cmn": ("Mandarin Chinese",),
    "zu": ("Zulu",),
    "arb": ("Standard Arabic",),
    "fil": ("Filipino",),
}
REGIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("us", "american", "america", "united states", "estados unidos"), "US"),
    **dict.fromkeys(("uk", "gb", "british", "great britain", "united kingdom"), "GB"),
    **dict.fromkeys(("au", "australian", "australia"), "AU"),
    **dict.fromkeys(("ca", "canadian", "canada"), "CA"),
    **dict.fromkeys(("india",), "IN"),
    **dict.fromkeys(("ie", "ireland"), "IE"),
    **dict.fromkeys(("za", "south africa", "south african"), "ZA"),
    **dict.fromkeys(("nz", "new zealand"), "NZ"),
    **dict.fromkeys(("mexico", "méxico", "mexican"), "MX"),
    **dict.fromkeys(("spain", "españa"), "ES"),
    **dict.fromkeys(("latin american", "latin america"), "419"),
    **dict.fromkeys(("brazil", "brasil", "brazilian"), "BR"),
    **dict.fromkeys(("portugal",), "PT"),
    **dict.fromkeys(("france",), "FR"),
    **dict.fromkeys(("belgium",), "BE"),
    **dict.fromkeys(("switzerland",), "CH"),
    **dict.fromkeys(("austria",), "AT"),
    **dict.fromkeys(("germany",), "DE"),
    **dict.fromkeys(("taiwan",), "TW"),
}
"""What voices call a region, beside the name of a language: "UK" alone says nothing."""
COUNTRIES: Final = frozenset(
    re.findall(
        "[A-Z]{2}",
        """
        AD AE AF AG AI AL AM AO AR AT AU AW AZ BA BB BD BE BF BG BH BI BJ BM BN BO BR BS BT BW BY BZ CA CD CF CG CH
        CI CL CM CN CO CR CU CV CY CZ DE DJ DK DM DO DZ EC EE EG ER ES ET FI FJ FM FO FR GA GB GD GE GH GL GM GN GQ
        GR GT GW GY HK HN HR HT HU ID IE IL IN IQ IR IS IT JM JO JP KE KG KH KI KM KN KP KR KW KZ LA LB LC LI LK LR
        LS LT LU LV LY MA MC MD ME MG MH MK ML MM MN MO MR MT MU MV MW MX MY MZ NA NE NG NI NL NO NP NR NZ OM PA PE
        PG PH PK PL PR PS PT PW PY QA RO RS RU RW SA SB SC SD SE SG SI SK SL SM SN SO SR SS ST SV SY SZ TD TG TH TJ
        TL TM TN TO TR TT TV TW TZ UA UG UK US UY UZ VA VC VE VN VU WS XK YE ZA ZM ZW
        """,
    )
)
"""What may stand behind a language in a locale: countries of ISO 3166."""
MAKERS: Final = frozenset({"google", "microsoft", "apple", "amazon", "ivona", "nuance", "acapela", "cereproc", "siri"})
SORTS: Final = frozenset({"male", "female", "natural", "neural", "online", "desktop", "enhanced", "premium", "voice"})
"""Words in the name of a product that are no names of voices."""
PERSONS: Final[Mapping[str, str]] = {
    name: locale
    for locale, names in {
        "arb": "Zeina",
        "ca-ES": "Arlet",
        "cmn-CN": "Zhiyu",
        "cy-GB": "Gwyneth",
        "cs-CZ": "Jitka",
        "da-DK": "Naja Mads Sofie",
        "de-AT": "Hannah",
        "de-DE": "Marlene Vicki Hans",
        "en-AU": "Nicole Olivia Russell",
        "en-GB": "Amy Emma Brian Arthur",
        "en-IE": "Niamh Moira",
        "en-IN": "Raveena",
        "en-NZ": "Aria",
        "en-US": "Danielle Gregory Ivy Joanna Kendra Kimberly Salli Joey Justin Kevin Matthew Ruth Stephen Samantha",
        "en-ZA": "Ayanda Tessa",
        "es-ES": "Conchita Lucia Enrique Sergio",
        "es-MX": "Mia Andres Paulina",
        "es-US": "Lupe Penelope Miguel Pedro",
        "fi-FI": "Suvi Satu",
        "fr-BE": "Isabelle",
        "fr-CA": "Chantal Gabrielle Amelie",
        "fr-FR": "Celine Lea Mathieu Remi Thomas",
        "is-IS": "Dora Karl",
        "it-IT": "Carla Bianca Giorgio Adriano Alice",
        "ja-JP": "Mizuki Takumi Kazuha Tomoko Kyoko",
        "ko-KR": "Seoyeon Jihye Yuna",
        "nb-NO": "Liv Ida",
        "nl-NL": "Lotte Ruben Xander",
        "pl-PL": "Ewa Maja Jacek Zosia",
        "pt-BR": "Camila Vitoria Ricardo Thiago Luciana",
        "pt-PT": "Ines Cristiano Joana",
        "ro-RO": "Carmen Ioana",
        "ru-RU": "Tatyana Maxim Milena",
        "sv-SE": "Astrid Elin",
        "tr-TR": "Filiz Burcu",
    }.items()
    for name in names.lower().split()
}
"""Voices of Amazon Polly and of macOS that are known by a first name, as their makers list them, but for those that
speak two languages, and for names that two makers gave to voices of two languages."""
LOCALE: Final = re.compile(r"(?<![A-Za-z])([a-z]{2,3})[-_](?:[A-Z][a-z]{3}[-_])?([A-Z]{2}|\d{3})(?![A-Za-z0-9])")
CODE: Final = re.compile(r"[a-z]{2,3}(?:[-_]([a-z]{2}|\d{3})(?:-[a-z-]+)?)?(?:\+\w+)?", re.IGNORECASE)
PRESET: Final = re.compile(r"(?:.*/)?([a-z]{2,3})_speaker_\d+")


def primary(tag: str) -> str:
    """The language of a BCP 47 tag, without script, region and variant, by two letters where that is English.

    >>> primary("en-GB"), primary("es_MX"), primary("eng")
    ('en', 'es', 'en')
    """
    language = re.split(r"[-_+]", tag.strip())[0].lower()
    return "en" if language == "eng" else language


def language_name(tag: str) -> str:
    """A language as messages name it: "Spanish (es-MX)"; the tag alone where it is not known."""
    names = NAMES.get(primary(tag))
    return f"{names[0]} ({tag})" if names else tag


def voice_names(text: str) -> tuple[str, ...]:
    """The names in a list of them, which has blanks between; the name of a product, which has blanks in it, is one.

    >>> voice_names("Anna en-gb"), voice_names("Google UK English Female")
    (('Anna', 'en-gb'), ('Google UK English Female',))
    """
    words = text.split()
    plain = [word.strip("(),-").lower() for word in words]
    one = plain and (plain[0] in MAKERS or "(" in text or (set(plain) & SORTS and _described(text)))
    return (" ".join(words),) if one else tuple(words)


def voice_locale(name: str) -> str | None:
    """The language that a voice's name says that it speaks, as a BCP 47 tag; None where it says none.

    By what Azure, Google, Chrome, Windows, macOS, Polly, Piper, espeak-ng and Bark call theirs.

    >>> voice_locale("es-ES-ElviraNeural"), voice_locale("Google UK English Female"), voice_locale("Joanna")
    ('es-ES', 'en-GB', 'en-US')
    >>> voice_locale("Google UK"), voice_locale("narrator")
    (None, None)
    """
    for found in LOCALE.finditer(name):
        if found[1] in NAMES and (found[2] in COUNTRIES or found[2].isdigit()):
            return f"{found[1]}-{found[2]}"
    base = name.strip()
    code = CODE.fullmatch(base)
    if code and primary(base) in NAMES and (not code[1] or code[1].upper() in COUNTRIES or code[1].isdigit()):
        return base.partition("+")[0].replace("_", "-")
    preset = PRESET.fullmatch(base)
    if preset and preset[1] in NAMES:
        return preset[1]
    bare = "".join(one for one in unicodedata.normalize("NFKD", base) if not unicodedata.combining(one)).lower()
    return _described(base) or PERSONS.get(bare.removesuffix("neural"))


def _described(name: str) -> str | None:
    """The locale of a name that has a language's name in it, with a region's where one stands beside it."""
    text = " ".join(re.findall(r"[^\W\d_]+", name.lower().replace("indian english", "english india")))
    region = max((word for word in REGIONS if f" {word} " in f" {text} "), key=len, default="")
    rest = f" {text} ".replace(f" {region} ", " ") if region else f" {text} "  # "Latin American" is not Latin
    found = [(rest.find(f" {one.lower()} "), code) for code, names in NAMES.items() for one in names]
    # Vowel signs of Hindi and Thai are no letters of a word to the expression above.
    found += [(name.find(one), code) for code, names in NAMES.items() for one in names if not one.isascii()]
    first = min((one for one in found if one[0] >= 0), default=None)
    if first is None:
        return None
    return f"{first[1]}-{REGIONS[region]}" if region else first[1]


# -- what a text is written in -----------------------------------------------------------------------------------------

SCRIPTS: Final[Mapping[str, str]] = {
    "GREEK": "el",
    "HEBREW": "he",
    "DEVANAGARI": "hi",
    "BENGALI": "bn",
    "GURMUKHI": "pa",
    "GUJARATI": "gu",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "SINHALA": "si",
    "THAI": "th",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
    "HANGUL": "ko",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "ETHIOPIC": "am",
    "CJK": "zh",
}
"""Scripts that are written for one language above all."""
WORDS: Final[Mapping[str, frozenset[str]]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the of and to in is that it for was with be on as are this have you not from at by we they his her an",
        "es": "el la los las de que y en un una es por con para del se lo al como más pero sus le ya muy esta este",
        "fr": "le la les des de et un une est que qui dans pour pas vous nous avec sur ce il elle je du au sont mais",
        "de": "der die das und ist nicht ein eine zu den mit von auf für im dem sich es ich wir sie auch wie aber oder",
        "it": "il lo la gli le di che e un una è per con non sono del della in questo questa più come ma anche nel al",
        "pt": "o os as de que e em um uma é não por com para do da dos das no na se mais como mas você muito ao está",
        "nl": "de het een en van ik is niet dat te zijn op voor met die aan er maar ook wij je naar heeft dit deze om",
        "sv": "och att det som en på är av för med den till inte har jag vi ett om men var sig så hon han",
        "pl": "i w nie na z że się to jest do jak co ale po tak za od przez dla czy już być są ten tego",
        "tr": "ve bir bu da için çok ile ne ben daha olarak gibi var mı en kadar sonra ama değil olan",
    }.items()
}
"""The words that stand in every text of a language."""
SIGNS: Final[Mapping[str, str]] = {"es": "¿¡ñ", "pt": "ãõ", "de": "ß", "pl": "ąęłńśźż", "tr": "ğış", "sv": "å"}
"""Signs that speak for a language."""
FEWEST: Final = 3


def guess_language(text: str) -> str | None:
    """The language that a text is plainly in, by its script or its commonest words; None where that is not plain.

    >>> guess_language("¡Hola! Espero que estés teniendo un buen día."), guess_language("Good morning to all of you")
    ('es', 'en')
    >>> guess_language("Pasta e basta")
    """
    letters = [one for one in text if one.isalpha()]
    scripts = Counter(unicodedata.name(one, "").split(" ")[0] for one in letters)
    if not letters:
        return None
    script, count = scripts.most_common(1)[0]
    if scripts["HIRAGANA"] + scripts["KATAKANA"] and script in ("CJK", "HIRAGANA", "KATAKANA"):
        return "ja"
    if script == "CYRILLIC" and count > len(letters) / 2:
        lower = text.lower()
        return "uk" if set(lower) & set("іїєґ") else "ru" if set(lower) & set("ыэё") else None
    if script != "LATIN":
        return SCRIPTS.get(script) if count > len(letters) / 2 else None
    words = re.findall(r"[^\W\d_]+", text.lower())
    score = {language: sum(word in common for word in words) for language, common in WORDS.items()}
    for language, signs in SIGNS.items():
        score[language] += 2 * bool(set(text.lower()) & set(signs))
    (best, most), (_, second) = Counter(score).most_common(2)
    plain = most >= FEWEST and most >= 2 * second and most >= len(words) / 8
    return best if plain else None
