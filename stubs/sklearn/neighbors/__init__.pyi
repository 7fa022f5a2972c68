from sklearn.base import ClassifierMixin

class KNeighborsClassifier(ClassifierMixin):
    def __init__(self, **parameters: str | float | None) -> None: ...
