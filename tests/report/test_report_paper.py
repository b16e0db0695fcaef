"""The paper's part of the page, of a made-up run of the whole pipeline written through the code real runs use."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_r1_builder import build_r1

from ponder.evaluation.scores import read_scores
from ponder.report import show_run, write_report
from ponder.report.chart import number_text
from ponder.report.published import published

SECTIONS = {
    "phenomena": (),
    "paper-stages": ("scores",),
    "paper-zero": ("zero",),
    "paper-aha": ("zero",),
    "paper-language": ("zero_language",),
    "paper-distillation": ("student_distilled",),
    "paper-students": ("student_rl", "student_distilled_rl"),
    "paper-reward-models": ("helpful", "safe"),
    "paper-hacking": ("hacking",),
    "paper-data": ("rejection",),
    "paper-cost": (),
    "alarms": ("hacking",),
}
"""Each section of the page, and the stages without which it is not there."""


class Page(HTMLParser):
    """Sections with their texts, the tables' heads, and every file that a number names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: dict[str, str] = {}
        self.files: set[str] = set()
        self.unlabelled = 0
        self.links: list[str] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "section":
            self._open = values["id"]
            self.sections[self._open] = ""
        self.files |= set(values.get("data-files", "").split())
        self.links += [values[name] for name in ("href", "src") if name in values]
        if tag == "svg" and not (values.get("role") == "img" and values.get("aria-label")):
            self.unlabelled += 1
        if self._open in SECTIONS and tag == "th" and "scope" not in values:
            self.unlabelled += 1

    def handle_data(self, data: str) -> None:
        if self._open:
            self.sections[self._open] += " " + " ".join(data.split())


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_r1(tmp_path_factory.mktemp("r1"), problems=24, steps=12)


@pytest.fixture(scope="module")
def page(run_folder: Path) -> Page:
    return Page(write_report(run_folder).read_text())


def phenomena_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    show_run(folder, as_json=True)
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)["phenomena"]
    return found


def test_every_section_is_there_and_needs_nothing(page: Page) -> None:
    assert list(SECTIONS) == [name for name in page.sections if name in SECTIONS]
    assert all(link.startswith("#") and link[1:] in page.sections for link in page.links)
    assert page.unlabelled == 0


def test_every_number_is_in_a_file_of_the_run(page: Page, run_folder: Path) -> None:
    assert len(page.files) > 30
    assert [file for file in page.files if not (run_folder / file).is_file()] == []


@pytest.mark.parametrize("missing", ["zero", "zero_language", "student_distilled", "hacking", "rejection"])
def test_sections_whose_stages_are_missing_are_not_there(missing: str, tmp_path: Path) -> None:
    folder = build_r1(tmp_path, problems=8, samples=2, steps=4, skip=(missing,))
    found = Page(write_report(folder).read_text()).sections
    assert not [name for name, needs in SECTIONS.items() if missing in needs and name in found and len(needs) == 1]
    assert "paper-cost" in found and "phenomena" in found


def test_the_table_of_stages_holds_the_scores_of_the_files(page: Page, run_folder: Path) -> None:
    text = page.sections["paper-stages"]
    for model in ("micro", "zero", "cold_start", "reason", "sft", "r1"):
        scores = read_scores(run_folder / "stages" / "scores" / "evaluation" / f"{model}--micro.json")
        assert f" {100 * scores.overall.pass_at_1:.1f} %" in text, model
    assert "win rate against sft" in text and "71.0 %" in text
    assert "safe answers to unsafe requests" in text


def marks_of(folder: Path, benchmark: str) -> list[str]:
    """The marks of a benchmark's row in the table of stages, base to RL 2."""
    table = (folder / "report.html").read_text().split('id="paper-stages"')[1].split("</table>")[0]
    row = table.split(f'<th scope="row">{benchmark}</th>')[1].split("</tr>")[0]
    return [mark or "" for mark in re.findall(r'<span(?: class="(\w+)")?>', row)]


def test_differences_beyond_chance_are_marked(run_folder: Path, page: Page) -> None:
    assert page.sections
    marks = marks_of(run_folder, "micro")
    assert marks[:4] == ["", "better", "worse", "better"]  # made up: 20, 80, 50, 85 %
    assert marks_of(run_folder, "harmless requests refused") == [""] * 6
    assert marks_of(run_folder, "safe answers to unsafe requests")[4:] == ["better", "better"]


def test_scores_that_should_not_be_believed_are_marked(run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "invalid"
    shutil.copytree(run_folder, folder)
    path = folder / "stages" / "scores" / "evaluation" / "sft--micro.json"
    value = json.loads(path.read_text()) | {"invalid": "90 % of the completions were cut off"}
    path.write_text(json.dumps(value))
    write_report(folder)
    assert marks_of(folder, "micro")[4] == "invalid"


def test_the_page_and_the_json_say_the_same(page: Page, run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = phenomena_of(run_folder, capsys)
    assert [one["number"] for one in found] == [1, 2, 3, 4, 5, 6, 7, 8]
    for one in found:
        assert f"{one['number']}. {one['statement']} {one['verdict']}" in " ".join(page.sections["phenomena"].split())
    assert {one["name"]: one["verdict"] for one in found}["reward hacking"] == "held"
    for one in found:
        for claim in one["claims"]:  # type: ignore[attr-defined]
            assert claim["value"] is None or all((run_folder / file).is_file() for file in claim["files"])
            assert (claim["value"] is None) == (claim["files"] == [])


def test_show_for_people_prints_the_verdicts(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_run(run_folder)
    shown = capsys.readouterr().out
    assert "phenomena of R1" in shown and "7. distillation" in shown and "reported" in shown


def test_the_aha_moment_is_quoted_and_marked(run_folder: Path, page: Page) -> None:
    assert "Before the word: 0+3 = 4" in page.sections["paper-aha"]
    assert "<mark>Wait</mark>" in (run_folder / "report.html").read_text()


def test_no_aha_moment_is_said_plainly(tmp_path: Path) -> None:
    folder = build_r1(tmp_path, problems=8, samples=2, steps=4)
    path = folder / "stages" / "zero" / "rollouts" / "rollouts-000000.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert "None was found" in Page(write_report(folder).read_text()).sections["paper-aha"]


def test_no_alarm_is_said_plainly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for steps, said, verdict in ((24, "was not raised", "not held"), (4, "could not have been raised", "not measured")):
        folder = build_r1(tmp_path / str(steps), problems=8, samples=2, steps=steps)
        (folder / "stages" / "hacking" / "alarms.jsonl").unlink()
        assert f"The hacking alarm {said}" in Page(write_report(folder).read_text()).sections["paper-hacking"]
        (found,) = [one for one in phenomena_of(folder, capsys) if one["name"] == "reward hacking"]
        assert found["verdict"] == verdict


def test_money_counts_the_recipes_price(page: Page, run_folder: Path, tmp_path: Path) -> None:
    assert "Money counts 0.5 dollars an hour" in page.sections["paper-cost"]
    assert f" {402 / 3600 * 0.5:.2f}" in page.sections["paper-cost"]  # a stage of 402 seconds
    folder = tmp_path / "free"
    shutil.copytree(run_folder, folder)
    made = json.loads((folder / "recipe.resolved.json").read_text())
    made["recipe"]["stages"]["report"]["price_per_hour"] = None
    (folder / "recipe.resolved.json").write_text(json.dumps(made))
    text = Page(write_report(folder).read_text()).sections["paper-cost"]
    assert "Money counts" not in text


def test_roles_of_the_recipe_are_followed(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "cast"
    shutil.copytree(run_folder, folder)
    made = json.loads((folder / "recipe.resolved.json").read_text())
    made["recipe"]["stages"]["report"]["roles"] = {"sft": "sft", "r1": "reason"}
    (folder / "recipe.resolved.json").write_text(json.dumps(made))
    found = {one["name"]: one for one in phenomena_of(folder, capsys)}
    assert found["RL on everything"]["verdict"] == "not held"  # RL 1 knows nothing of general prompts


def test_published_numbers_are_labelled_as_another_models(run_folder: Path, page: Page) -> None:
    text = (run_folder / "report.html").read_text()
    assert text.count('class="whose">Published, another model') == text.count('<aside class="published"') == 10
    assert "77.9 % (v1 prints 71.0 %)" in page.sections["paper-zero"]


def test_published_tables_are_whole() -> None:
    tables = published()
    cells = {name: [[cell.text for cell in row] for row in table.rows] for name, table in tables.items()}
    assert ["AIME 2024", "39.2", "77.9", "59.0", "74.0", "78.1", "79.8"] in cells["stages"]
    assert ["Qwen-32B distilled from R1", "72.6", "83.3", "94.3", "62.1", "57.2"] in cells["students"]
    counts = [int(row[1].replace(",", "")) for row in cells["composition"]]
    assert sum(counts[:-1]) == counts[-1] == 804_745
    hours = [int(row[1].replace(",", "")) for row in cells["cost"]]
    dollars = [int(row[2].replace(",", "")) for row in cells["cost"]]
    assert (sum(hours[:-1]), sum(dollars[:-1])) == (hours[-1], dollars[-1]) == (147_000, 294_000)
    assert all(table.source for table in tables.values())


def test_composition_totals(page: Page) -> None:
    text = page.sections["paper-data"]
    assert "300 of 800 responses were kept" in text
    assert "arithmetic 120 60 60 90.0" in text
    assert number_text(120 + 116 + 110) in text


def test_a_page_of_a_run_that_is_just_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build_r1(tmp_path, problems=8, samples=2, steps=4)
    shutil.rmtree(folder / "stages")
    text = write_report(folder).read_text()
    assert set(Page(text).sections) & set(SECTIONS) == {"phenomena"}
    assert {one["verdict"] for one in phenomena_of(folder, capsys)} == {"not measured"}
