"""The one door to Great Expectations: imported quietly, without its analytics, and untyped as its exports are.

from ml_training.data.validation.engine import expectations, gx
"""

import logging
import os
from importlib import import_module
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import
logging.getLogger("great_expectations").setLevel(logging.WARNING)  # it logs hundreds of lines about its own inside

gx: Any = import_module("great_expectations")
expectations: Any = import_module("great_expectations.expectations")
config_types: Any = import_module("great_expectations.data_context.types.base")
RunIdentifier: Any = import_module("great_expectations.core.run_identifier").RunIdentifier
