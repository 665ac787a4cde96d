"""What an application imports to record its model's predictions in a journal on its own disk.

`Recorder` is all that most need. The integrations are thin and imported by name: `recorder.asgi`, `recorder.predictor`
and `recorder.log_handler`. Nothing here imports numpy, pandas or a web framework.
"""

from modelward_agent.recorder.measurement import Measurement
from modelward_agent.recorder.recorder import Recorder, RecorderStats

__all__ = ["Measurement", "Recorder", "RecorderStats"]
