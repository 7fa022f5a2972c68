from sklearn.base import ClassifierMixin

class SVC(ClassifierMixin):
    def __init__(self, **parameters: str | float | None) -> None: ...
