"""The Chinese catalogue holds exactly the texts that the code and the templates mark, all translated, in the fixed words."""

import re

import pytest
from django.core.management import call_command
from django.utils import translation

from tests.i18n.marks import CATALOGUE, Mark, catalogue, entries, marks_in, sources

HOW = "run manage.py update_messages, then translate what it names"
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd%]|</?\w+[^>]*>")
# Placeholders, and what the settings of other programs are called.
QUOTED = re.compile(r"%\(\w+\)[sd]|“[^”]*”")
# Placeholders that stand for Chinese words: no blank around them.
WORDED = re.compile(r"%\((what|money|todo|distance|kind|link|end_link|whose|span)\)s")
CJK = "\u3400-\u9fff"
# An English word (as a pattern) and what its Chinese has to hold; the table of words for the whole portal.
WORDS = [
    (r"\bbalances?\b", "余额|账户"),
    (r"\bpurses?\b", "钱包"),
    (r"\bAPI keys?\b", "API 密钥"),
    (r"\bkey tails?\b", "密钥尾号"),
    (r"\bteams?\b", "团队"),
    (r"\bledger\b", "账本"),
    (r"\bprice books?\b", "价目表"),
    (r"\bmultipliers?\b", "倍率"),
    (r"\brequest ids?\b", "请求 ID"),
    (r"\bupstreams?\b", "上游"),
    (r"\bname map\b", "模型映射"),
    (r"\bold entr(y|ies)\b", "旧入口"),
    (r"\bthe new entry\b", "新入口"),
    (r"\bwaves?\b", "批次"),
    (r"\brollback window\b", "回滚窗口"),
    (r"\bobservation\b", "观察"),
    (r"\bredemption codes?\b", "兑换码"),
    (r"\btop-ups?\b", "充值"),
    (r"\bstatements?\b", "对账单"),
]


@pytest.fixture(scope="module")
def chinese() -> dict[Mark, str]:
    return entries()


def test_every_marked_text_has_an_entry_and_every_entry_a_text(chinese: dict[Mark, str]) -> None:
    marked: dict[Mark, str] = {}
    for path in sources():
        marked |= dict.fromkeys(marks_in(path), path.name)
    assert len(marked) > 1000
    assert {mark: name for mark, name in marked.items() if mark not in chinese} == {}, HOW
    assert sorted(set(chinese) - set(marked)) == [], HOW


def test_every_entry_is_translated_and_none_is_a_guess(chinese: dict[Mark, str]) -> None:
    assert [mark for mark, text in chinese.items() if not text.strip()] == []
    assert [message.id for message in catalogue() if message.id and message.fuzzy] == []
    # What has no Chinese in it: names of formats, and placeholders alone.
    others = {mark.single for mark, text in chinese.items() if not re.search(f"[{CJK}]", text)}
    assert {text for text in others if PLACEHOLDER.sub("", text).strip(": ")} <= {"HTML", "Tokens"}


def test_placeholders_and_tags_are_the_same_on_both_sides(chinese: dict[Mark, str]) -> None:
    differing = {}
    for mark, text in chinese.items():
        wanted = set(PLACEHOLDER.findall(mark.plural or mark.single))
        if set(PLACEHOLDER.findall(text)) != wanted:
            differing[mark] = text
    assert differing == {}


def test_one_word_for_one_thing(chinese: dict[Mark, str]) -> None:
    others = [
        (word, mark.single, text)
        for mark, text in chinese.items()
        for word, wanted in WORDS
        if re.search(word, QUOTED.sub("", mark.single), re.IGNORECASE) and not re.search(wanted, text)
    ]
    assert others == []
    assert [text for text in chinese.values() if "冻结" in text] == []


def test_punctuation_and_blanks_are_chinese(chinese: dict[Mark, str]) -> None:
    """Full-width marks after Chinese; a blank between Chinese and Latin letters or digits."""
    plain = {mark: WORDED.sub("", re.sub(r"</?\w+[^>]*>", "", text)) for mark, text in chinese.items()}
    plain = {mark: PLACEHOLDER.sub("x", text) for mark, text in plain.items()}
    assert [text for text in plain.values() if re.search(f"[{CJK}][,.;:!?()]|[,;:!?()][{CJK}]", text)] == []
    assert [text for text in plain.values() if re.search(f"[{CJK}][A-Za-z0-9]|[A-Za-z0-9][{CJK}]", text)] == []


def test_the_head_is_free_of_machine_and_tool() -> None:
    text = CATALOGUE.read_text(encoding="utf-8")
    head = text.split("\n\n", 1)[0]
    assert head.splitlines()[2:] == [
        '"Language: zh_Hans\\n"',
        '"MIME-Version: 1.0\\n"',
        '"Content-Type: text/plain; charset=UTF-8\\n"',
        '"Content-Transfer-Encoding: 8bit\\n"',
        '"Plural-Forms: nplurals=1; plural=0;\\n"',
    ]
    assert [line for line in text.splitlines() if line.startswith(("#:", "#~", "#, fuzzy"))] == []


def test_django_speaks_the_compiled_catalogue(fresh_catalogue: None) -> None:
    call_command("compile_messages", verbosity=0)
    assert CATALOGUE.with_suffix(".mo").stat().st_size > 50_000
    with translation.override("zh-hans"):
        assert translation.gettext("The key is disabled.") == "密钥已停用。"
        assert translation.pgettext("wave", "settled") == "已结束"
        assert translation.gettext("settled") == "已结算"
        assert translation.ngettext("<strong>%(n)s</strong> wave", "<strong>%(n)s</strong> waves", 2) % {"n": 2} == (
            "<strong>2</strong> 个批次"
        )
    with translation.override("en"):
        assert translation.gettext("The key is disabled.") == "The key is disabled."
