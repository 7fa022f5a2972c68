from sklearn.base import ClassifierMixin

class RandomForestClassifier(ClassifierMixin):
    def __init__(self, **parameters: str | float | None) -> None: ...

class HistGradientBoostingClassifier(ClassifierMixin):
    def __init__(self, **parameters: str | float | None) -> None: ...
