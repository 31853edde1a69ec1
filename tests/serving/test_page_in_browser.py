"""The page at `/` in headless Chromium: a person types, and reads the answer."""

import re
import shutil

import entity_cases
import pytest

from kerasbert import (
    MaskedLM,
    MultipleChoice,
    QuestionAnswerer,
    TextClassifier,
    TextEmbedder,
    TokenClassifier,
)
from kerasbert.serving import SavedModelClient

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

# The Arabic words and the emoji are unknown to the vocabulary, but words of the text.
MIXED = "😀 a good dog 中国 𠀀 قطة سعيدة\n<script>document.title = 'bad'</script> one"
TASKS = {
    "classes": (TextClassifier, {"classes": ["bad", "good", "<b>nice</b>"]}),
    "pairs": (TextClassifier, {"classes": ["no", "yes"], "pair": True}),
    "labels": (
        TextClassifier,
        {"classes": ["a", "b"], "problem_type": "multi_label_classification"},
    ),
    "number": (TextClassifier, {"classes": ["score"], "problem_type": "regression"}),
    "tags": (TokenClassifier, {"classes": ["B-person", "I-person", "B-city"]}),
    "answers": (QuestionAnswerer, {}),
    "vectors": (TextEmbedder, {}),
    "masks": (MaskedLM, {}),
    "choices": (MultipleChoice, {}),
}


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Returns a function that opens a server's page; what the browser complains of fails."""
    complaints, requests, contexts = [], [], []

    def open_page(server, **settings):
        context = chromium.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: message.type == "error" and complaints.append(message.text),
        )
        page.on("request", lambda request: requests.append(request.url))
        page.goto(root(server))
        expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()
        page.complaints = complaints
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert {re.match(r"http://[\d.]+:\d+/", url) is not None for url in requests} <= {True}


def root(server):
    return server.rest.split("v1/")[0]


@pytest.fixture(scope="module")
def serve(tokenizer, tiny_backbone, start_server, tmp_path_factory):
    """Returns a function from the name of a task to its server, and a client of its export."""
    made = {}

    def serve(name):
        if name not in made:
            make, settings = TASKS[name]
            backbone = tiny_backbone(tokenizer, initializer_range=0.5, num_layers=2)
            task = make(backbone, tokenizer=tokenizer, **settings)
            directory = tmp_path_factory.mktemp("page") / name / "1"
            task.export(directory, attention=True, check=False)
            made[name] = start_server(directory.parent, name), SavedModelClient(directory)
        return made[name]

    return serve


def ask(page, **values):
    for label, value in values.items():
        page.get_by_label(label.replace("_", " "), exact=True).fill(value)
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("ms")


def bars(page):
    """Returns the names and numbers of the bars that are shown."""
    return [
        (row.locator(":scope > :first-child").inner_text(), row.locator(".number").inner_text())
        for row in page.locator(".bars:visible > li").all()
    ]


def percent(score):
    return f"{100 * score:.1f} %" if score >= 0.001 else "< 0.1 %"


# === Each task ===


def test_classifier(serve, open_page):
    server, client = serve("classes")
    page = open_page(server)
    ask(page, Text=MIXED)
    (answer,) = client(text=[MIXED])
    pairs = sorted(zip(answer["scores"], answer["labels"], strict=True), reverse=True)
    assert bars(page) == [(label, percent(score)) for score, label in pairs]
    expect(page.get_by_role("status")).to_contain_text(f"{answer['label']}, {percent(pairs[0][0])}")
    assert page.title() == "classes · kerasbert"  # no script of a text has run
    assert page.locator("main script, main b").count() == 0


@pytest.mark.full
def test_other_classifiers(serve, open_page):
    server, client = serve("pairs")
    page = open_page(server)
    ask(page, First_text="a good dog", Second_text="中国")
    (answer,) = client(text=["a good dog"], text_pair=["中国"])
    expect(page.get_by_role("status")).to_contain_text(f"{answer['label']}, ")
    server, client = serve("labels")
    page = open_page(server)
    ask(page, Text="a good dog")
    (answer,) = client(text=["a good dog"])
    chosen = [n for n, on in zip(answer["labels"], answer["predicted"], strict=True) if on]
    assert page.locator(".chosen bdi").all_inner_texts() == chosen
    server, client = serve("number")
    page = open_page(server)
    ask(page, Text="a good dog")
    (answer,) = client(text=["a good dog"])
    assert float(page.locator(".value").inner_text()) == pytest.approx(answer["value"], rel=1e-3)


def test_entities_in_many_scripts(serve, open_page):
    server, client = serve("tags")
    page = open_page(server)
    ask(page, Text=MIXED)
    (answer,) = client(text=[MIXED])
    words = list(zip(answer["labels"], answer["starts"], answer["ends"], strict=True))
    expected = []
    for label, start, end in words[: answer["lengths"]]:
        kind = label[2:]
        if label[0] == "I" and expected and expected[-1][0] == kind:
            expected[-1][2] = end
        else:
            expected.append([kind, start, end])
    assert len(expected) > 3
    marks = page.locator("mark").all()
    found = [[mark.locator(".label").inner_text(), text_of(mark)] for mark in marks]
    assert found == [[kind, MIXED[start:end]] for kind, start, end in expected]
    assert text_of(page.locator(".document")) == MIXED
    rows = page.locator("tbody tr").all()
    assert [row.locator("td").nth(1).inner_text() for row in rows] == [one[0] for one in expected]


def text_of(locator):
    """Returns the text of an element without labels."""
    return locator.evaluate(
        "node => { const copy = node.cloneNode(true);"
        "for (const label of copy.querySelectorAll('.label')) label.remove();"
        "return copy.textContent; }"
    )


def test_answer_in_a_document(serve, open_page):
    server, client = serve("answers")
    page = open_page(server)
    document = f"{MIXED} two 😀 three"
    ask(page, Question="good dog?", Document=document)
    (answer,) = client(question=["good dog?"], context=[document])
    assert answer["answer"]
    assert page.locator("#status bdi").inner_text() == answer["answer"]  # apart from its score
    assert page.locator("mark").inner_text() == answer["answer"]
    assert text_of(page.locator(".document")) == document
    before = page.locator(".document").evaluate("node => node.firstChild.textContent.length")
    # As UTF-16 has it, in which the emoji and the rare character are two units.
    start = len(document[: answer["start"]].encode("utf-16-le")) // 2
    assert before == (start or len(answer["answer"]))
    other = page.locator(".bars button").nth(2)
    other.click()
    assert page.locator("mark").inner_text() == other.inner_text()
    assert other.get_attribute("aria-pressed") == "true"
    assert page.locator(".bars button[aria-pressed=true]").count() == 1


@pytest.mark.full
def test_nearest_sentences(serve, open_page):
    import numpy as np

    server, client = serve("vectors")
    page = open_page(server)
    sentences = ["a good dog", "中国", "the river runs", "قطة"]
    ask(page, Query="a nice dog", Sentences="\n".join([*sentences, ""]))
    vectors = np.array([row["embedding"] for row in client(text=["a nice dog", *sentences])])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = dict(zip(sentences, vectors[1:] @ vectors[0], strict=True))
    best = sorted(scores, key=scores.get, reverse=True)
    found = bars(page)
    assert [name for name, _ in found] == best
    assert [float(number) for _, number in found] == pytest.approx(
        [scores[name] for name in best], abs=1e-3
    )
    page.get_by_role("tab", name="Tokens").click()
    expect(page.locator(".tokens")).to_have_count(5)
    assert page.locator(".tokens").nth(2).locator("bdi").all_inner_texts() == [
        "[CLS]",
        "中",
        "国",
        "[SEP]",
    ]


@pytest.mark.full
def test_masks_and_choices(serve, open_page):
    server, client = serve("masks")
    page = open_page(server)
    page.get_by_label("Text", exact=True).fill("a  dog")
    page.get_by_label("Text", exact=True).evaluate("node => node.setSelectionRange(2, 2)")
    page.get_by_role("button", name="Insert [MASK]").click()
    assert page.get_by_label("Text", exact=True).input_value() == "a [MASK] dog"
    ask(page)
    (answer,) = client(text=["a [MASK] dog"])
    expect(page.get_by_role("status")).to_contain_text(answer["sequence"])
    assert [name for name, _ in bars(page)] == answer["tokens"][0]
    ask(page, Text="a dog")
    expect(page.get_by_role("status")).to_contain_text("there is no [MASK] in the text")
    server, client = serve("choices")
    page = open_page(server)
    ask(page, Text="a dog", Choices="good\n\nbad 中国\none")
    (answer,) = client(text=["a dog"], choices=[["good", "bad 中国", "one"]])
    assert page.locator(".chosen bdi").inner_text() == answer["answer"]
    assert sorted(bars(page)) == sorted(
        zip(["good", "bad 中国", "one"], map(percent, answer["scores"]), strict=True)
    )
    page.get_by_role("tab", name="Attention").click()
    expect(page.locator(".heads")).to_be_visible()
    ask(page, Text="a dog", Choices="")
    expect(page.locator("#panel-attention")).to_have_text("The model read no tokens.")


# === Tokens, attention, request ===


def test_tabs(serve, open_page):
    server, _ = serve("classes")
    page = open_page(server)
    ask(page, Text="A good dogs 中国 €")
    page.get_by_role("tab", name="Tokens").click()
    tokens = page.locator(".tokens bdi")
    expect(tokens.first).to_be_visible()
    expected = ["[CLS]", "a", "good", "dog", "##s", "中", "国", "[UNK]", "[SEP]"]
    assert tokens.all_inner_texts() == expected
    assert page.locator(".unknown").count() == 1
    page.get_by_role("tab", name="Attention").click()
    expect(page.locator(".heads button")).to_have_count(2)
    assert page.get_by_label("Layer", exact=True).locator("option").count() == 2
    size = "node => [node.width, node.height]"
    assert page.locator(".picture canvas").evaluate(size) == [9, 9]
    first = page.locator(".picture canvas").evaluate("node => node.toDataURL()")
    page.get_by_role("button", name="Head 2").click()
    second = page.locator(".picture canvas").evaluate("node => node.toDataURL()")
    page.get_by_label("Layer", exact=True).select_option("2")
    expect(page.get_by_role("img", name="Head 2 of layer 2")).to_be_visible()
    third = page.locator(".picture canvas").evaluate("node => node.toDataURL()")
    assert len({first, second, third}) == 3
    page.get_by_label("Token", exact=True).select_option(label="3: good")
    assert page.locator(".rows .chosen").inner_text() == "good"
    found = bars(page)
    assert len(found) == 9
    total = sum(float(number.strip("< %")) for _, number in found)
    assert total == pytest.approx(100, abs=1)
    page.get_by_role("tab", name="Request").click()
    command = page.locator("#panel-request pre").first.inner_text()
    assert command.startswith('curl -d \'{"inputs":{"text":["A good')
    assert command.endswith("/v1/models/classes/versions/1:predict")


def test_attention_while_another_text_loads(serve, open_page):
    """What is drawn belongs together, whatever is chosen meanwhile."""
    page = open_page(serve("answers")[0])
    ask(page, Question="dog?", Document="a good dog and one " * 7 + "river")
    held, asked = [], []
    page.route(re.compile(":predict$"), lambda route: held.append(route))
    page.on("request", lambda request: asked.append(request.post_data_json))
    page.get_by_role("tab", name="Attention").click()
    release(page, held)  # the tokens
    release(page, held)
    first = page.get_by_label("Token", exact=True).locator("option").all_inner_texts()
    parts = page.get_by_label("Text", exact=True)
    assert parts.locator("option").count() > 1
    parts.select_option(index=parts.locator("option").count() - 1)
    page.get_by_label("Token", exact=True).select_option(index=2)
    page.get_by_role("button", name="Head 2").click()
    expect(page.locator(".rows li")).to_have_count(len(first))
    assert "NaN" not in page.locator("#panel-attention").inner_text()
    release(page, held)
    expect(page.locator(".rows li")).not_to_have_count(len(first))
    assert "NaN" not in page.locator("#panel-attention").inner_text()
    attention = [one["inputs"] for one in asked if one.get("signature_name") == "attention"]
    assert [{len(column) for column in one.values()} for one in attention] == [{1}, {1}]


def release(page, held):
    """Lets the next request that a page holds back go on."""
    while not held:
        page.wait_for_timeout(20)
    with page.expect_response(re.compile(":predict$")):
        held.pop(0).continue_()


def test_tokens_and_tags_of_all_kinds(serve, open_page):
    """Byte-level tokens, directions, and tags that the tiny models do not have."""
    page = open_page(serve("classes")[0])

    def call(name, *arguments):
        code = "async ([name, values]) => (await import('/page/spans.js'))[name](...values)"
        return page.evaluate(code, [name, arguments])

    # 0xA0 is spelled as U+0142, the space as U+0120.
    spellings = {
        "\u0120dog": "␣dog",
        "ä½\u0142": "你",
        "ä½": "e4 bd",
        "<mask>": "<mask>",
        "中": "中",
    }
    for token, expected in spellings.items():
        assert call("spelled", token, "bytepair") == expected
        assert call("spelled", token, "wordpiece") == token
    special = {"cls": "[CLS]", "unknown": "[UNK]"}
    for token, expected in {"##ق": "rtl", "ש": "rtl", "a": "ltr", "中": "ltr", "1": "ltr"}.items():
        tokenizer = {"kind": "wordpiece", "special_tokens": special}
        model = {"metadata": {"tokenizer": tokenizer}}
        assert call("direction", ["[CLS]", "!", token, "a"], model) == expected

    def entities(*labels):
        words = [
            {"label": label, "score": 1, "start": n, "end": n + 1} for n, label in enumerate(labels)
        ]
        return [(one["type"], one["start"], one["end"]) for one in call("entities", words)]

    for labels, expected in entity_cases.CASES:
        assert entities(*labels) == expected, labels
    assert call("types", ["B-y", "I-x", "O"]) == ["x", "y"]
    assert call("types", ["NOUN", "B-x", "E-x"]) == ["E-x", "NOUN", "x"]


# === With the keyboard only; for everybody ===


def test_keyboard_alone(serve, open_page):
    server, client = serve("classes")
    page = open_page(server)
    press, focused = page.keyboard.press, page.locator(":focus")
    press("Tab")
    assert focused.get_attribute("name") == "text"
    page.keyboard.type("a good dog")
    press("Control+Enter")
    (answer,) = client(text=["a good dog"])
    expect(page.get_by_role("status")).to_contain_text(f"{answer['label']}, ")
    for name in ("Ask", "Fill in an example", "Answer"):
        press("Tab")
        assert focused.inner_text() == name
        assert focused.evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
    press("ArrowRight")
    assert focused.inner_text() == "Tokens"
    expect(page.locator(".tokens li")).to_have_count(5)
    press("End")
    assert focused.inner_text() == "Request"
    press("ArrowRight")
    assert focused.inner_text() == "Answer"
    press("Tab")
    assert focused.get_attribute("role") == "tabpanel"
    press("Shift+Tab")
    press("Shift+Tab")
    press("Enter")
    assert page.get_by_label("Text", exact=True).input_value() == "A fine day."


CONTRASTS = """() => {
  const parse = (color) => {
    const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => value / 255)
      .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const { rgb, a } = parse(getComputedStyle(node).backgroundColor);
      if (a === 1) return rgb;
    }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility()) continue;
    const colors = [parse(getComputedStyle(node).color).rgb, behind(node)];
    const [high, low] = colors.map(luminance).sort((a, b) => b - a);
    found.push([(high + 0.05) / (low + 0.05), walker.currentNode.data.trim()]);
  }
  return found;
}"""


@pytest.mark.full
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_and_width(serve, open_page, scheme):
    asked = {
        "tags": {"Text": MIXED},
        "answers": {"Question": "good?", "Document": MIXED},
        "classes": {"Text": "x" * 300},
    }
    for name, values in asked.items():
        page = open_page(
            serve(name)[0], color_scheme=scheme, viewport={"width": 320, "height": 640}
        )
        ask(page, **values)
        for tab in ("Answer", "Tokens", "Attention", "Request"):
            page.get_by_role("tab", name=tab).click()
            expect(page.locator(f"#panel-{tab.lower()} > *").first).to_be_visible()
            found = page.evaluate(CONTRASTS)
            assert len(found) > 10
            assert [one for one in found if one[0] < 4.5] == []
            assert page.evaluate("() => document.documentElement.scrollWidth") <= 320


# === Errors and versions ===


def test_errors_are_the_servers(serve, open_page, start_server):
    _, client = serve("classes")
    server = start_server(client.directory.parent, "small", max_text_bytes=10)
    page = open_page(server)
    page.get_by_label("Text", exact=True).fill("a text of many bytes")
    page.get_by_role("button", name="Ask", exact=True).click()
    line = "The server refused this (400): text: a string has 20 bytes; at most 10 are read"
    expect(page.get_by_role("alert")).to_have_text(line)
    ask(page, Text="a dog")
    expect(page.get_by_role("alert")).to_be_hidden()
    server.stop()
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text(
        "The server does not answer. Is it still running?"
    )
    # The browser's own lines about both.
    assert all("Failed to load resource" in line for line in page.complaints)
    page.complaints.clear()


@pytest.mark.full
def test_another_model_is_chosen(serve, open_page, start_server):
    clients = {name: serve(name)[1] for name in ("classes", "answers")}
    server = start_server({name: client.directory for name, client in clients.items()})
    page = open_page(server)
    ask(page, Text="a good dog")
    held = []
    page.route(re.compile(":predict$"), lambda route: held.append(route))
    page.get_by_role("button", name="Ask", exact=True).click()
    while not held:
        page.wait_for_timeout(20)
    page.get_by_label("Model", exact=True).select_option("answers 1")
    held[0].fulfill(json={"outputs": {"label": ["bad"], "labels": [["bad"]], "scores": [[1.0]]}})
    page.unroute(re.compile(":predict$"))
    page.wait_for_timeout(100)
    assert page.get_by_role("status").inner_text() == ""
    expect(page.get_by_role("tablist")).to_be_hidden()
    assert page.title() == "answers · kerasbert"
    ask(page, Question="good dog?", Document="a good dog and a cat")
    (answer,) = clients["answers"](question=["good dog?"], context=["a good dog and a cat"])
    expect(page.get_by_role("status")).to_contain_text(answer["answer"])


@pytest.mark.full
def test_a_new_version_answers(export_classifier, open_page, start_server, tmp_path):
    export_classifier(tmp_path / "mine" / "1")
    server = start_server(tmp_path / "mine")
    page = open_page(server)
    ask(page, Text="a dog")
    expect(page.locator("#task")).to_contain_text("version 1.")
    export_classifier(tmp_path / "mine" / "2", classes=["new", "newer"])
    while not any("version 2 replaces 1" in line for line in server.lines):
        page.wait_for_timeout(50)
    ask(page)
    expect(page.get_by_role("status")).to_contain_text("new")
    expect(page.locator("#task")).to_contain_text("version 2.")
    assert page.get_by_label("Text", exact=True).input_value() == "a dog"
    assert all("404" in line for line in page.complaints)
    page.complaints.clear()
