"""An ingest is over before pandas would have been imported."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import sys
from intent_cli.main import main
try:
    main(["ingest", "--adapter", "rees46", sys.argv[1], "--out", sys.argv[2]])
except SystemExit as left:
    assert left.code == 0, left.code
assert "pandas" not in sys.modules
import pandas, pyarrow
assert pyarrow.table({"a": [1]}).to_pandas()["a"].sum() == 1
"""
ROWS = """event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session
2019-10-01 00:00:00 UTC,view,1,2,,a,3.5,4,s
"""


def test_an_ingest_leaves_pandas_out_and_others_still_get_it(tmp_path):
    (tmp_path / "x.csv").write_text(ROWS)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "x.csv"), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
