from sklearn.base import ClassifierMixin

class LogisticRegression(ClassifierMixin):
    def __init__(self, **parameters: str | float | None) -> None: ...
