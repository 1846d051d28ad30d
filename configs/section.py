"""What every section of the configuration is made from."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

KindName = Literal["deduction", "abduction", "induction"]


class Section(BaseModel):
    """Frozen; an unknown key is an error, and so is an infinite number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
