"""Records the predictions of a REST service: pure ASGI, for FastAPI, Starlette and whatever else speaks it.

`middleware` is what an application adds; `paths` says which requests are a model's, `body` reads what passed, `shapes`
finds features and predictions in it, and `unmatched` notices that no request was ever one of a model's.
"""

from modelward_agent.recorder.asgi.middleware import ID_KEY, Extract, NotRecordedError, RecorderMiddleware

__all__ = ["ID_KEY", "Extract", "NotRecordedError", "RecorderMiddleware"]
