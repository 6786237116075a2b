"""Every run ends with a report, however it ends."""

from conftest import aoi_args, one_run

from cli import main

PICTURE = 'src="data:image/png;base64,'


def test_fit_and_test_leave_a_report(aoi_folder, tmp_path, capsys):
    args = aoi_args(aoi_folder, tmp_path / "runs", "--trainer.max_epochs=2", figures=True)
    main(["fit", *args])
    folder = one_run(tmp_path / "runs")
    out = capsys.readouterr().out
    assert f"report {folder / 'report.html'}" in out
    assert "val/accuracy" in out
    page = (folder / "report.html").read_text()
    drawn = {"curves", "confusion", "examples"}
    assert {path.stem for path in (folder / "figures").iterdir()} >= drawn
    assert page.count(PICTURE) == len(list((folder / "figures").glob("*.png")))
    assert str(aoi_folder) in page
    assert 'data-scores="Test' not in page
    main(["test", *args, "--ckpt_path=best"])
    out = capsys.readouterr().out
    assert "of 12 test images classified correctly" in out
    assert "Test metric" not in out, "Lightning's own table"
    tested = (folder / "report.html").read_text()
    assert tested.count(PICTURE) == len(list((folder / "figures").glob("*.png")))
    assert tested.count(PICTURE) > page.count(PICTURE)
    assert 'data-scores="Test of epoch=' in tested
