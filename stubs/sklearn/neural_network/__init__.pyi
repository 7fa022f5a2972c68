from sklearn.base import ClassifierMixin

class MLPClassifier(ClassifierMixin):
    def __init__(self, **parameters: str | float | None) -> None: ...
