"""Where the published tables are: PROVENDER_LAW_TABLES, a folder, or /work/shared/data/mixing.

regmix_{train,test}_{mixture,pile_loss}_{1m,60m,1B}.csv   as in the repository sail-sg/regmix, with the prefix
mixinglaw_ct.csv      pile_share, python_share, steps, pile_loss, python_loss   (yegcjs/mixinglaws, data/ct, the Pile's
                      sets by their weights); mixinglaw_ct_base.csv: the two losses before training
cmr_ratio.csv         size, alpha, s, beta, published     (Gu et al. 2024, table 5)
cmr_domain_loss.csv   size, domain_share, domain_loss     (Gu et al. 2024, table 2)
dcpt_chemistry.csv    domain_share, general_loss, domain_loss (Que et al. 2024, table 5); dcpt_chemistry_base.csv
"""

import os
from pathlib import Path

import polars as pl
import pytest

FOLDER = Path(os.environ.get("PROVENDER_LAW_TABLES", "/work/shared/data/mixing"))


def table(name: str) -> pl.DataFrame:
    """A published table; the test is skipped, and says so, where it is not on this machine."""
    path = path_of(name)
    return pl.read_csv(path)


def path_of(name: str) -> Path:
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"PUBLISHED TABLE MISSING: {path} (set PROVENDER_LAW_TABLES to a folder that has it)")
    return path
