"""Objects of real libraries as local variables: whole frames against golden ones, and no code of the application."""

import datetime
import decimal
import enum

import arrow
import attrs
import numpy
import pandas
import pendulum
import pydantic
import pytest
import sqlalchemy
from sqlalchemy import orm

from heka_raven.capture.readers import BY_NAME, row_of
from support.django import configure
from support.events import make_walker, raised, spool_client, vars_of
from support.spools import spooled_items

M = __name__
RAN = []  # what of the application's code was run while an event was made


def record(name, result=None):
    """A method that records that it was called."""

    def method(self, *args, **kwargs):
        RAN.append(name)
        return result

    return method


class Descriptor:
    """A descriptor of the application: looked at through an instance, it records itself."""

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        RAN.append("a descriptor")
        return "from a descriptor"

    def __set__(self, instance, value):
        instance.__dict__["_kept"] = value


class Watched:
    """What an application's class may define; all of it records itself."""

    __repr__ = record("__repr__", "r")
    __str__ = record("__str__", "s")
    __len__ = record("__len__", 1)
    __bool__ = record("__bool__", True)
    __getitem__ = record("__getitem__")
    __format__ = record("__format__", "f")
    total = property(record("a property"))
    tax = Descriptor()


# -- the application ---------------------------------------------------------------------------------------------------


class Base(orm.DeclarativeBase):
    pass


class Order(Watched, Base):
    __tablename__ = "orders"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    email: orm.Mapped[str]
    api_token: orm.Mapped[str]
    amount: orm.Mapped[decimal.Decimal]
    lines: orm.Mapped[list["Line"]] = orm.relationship(back_populates="order")


class Line(Watched, Base):
    __tablename__ = "lines"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    order_id: orm.Mapped[int] = orm.mapped_column(sqlalchemy.ForeignKey("orders.id"))
    sku: orm.Mapped[str]
    order: orm.Mapped[Order] = orm.relationship(back_populates="lines")


class Stock(orm.MappedAsDataclass, Base):
    __tablename__ = "stock"
    sku: orm.Mapped[str] = orm.mapped_column(primary_key=True)
    left: orm.Mapped[int]
    note: orm.Mapped[str] = orm.mapped_column(repr=False)


class Size(enum.Enum):
    LARGE = "L"


class Address(pydantic.BaseModel):
    city: str
    street: str


class Customer(Watched, pydantic.BaseModel, extra="allow"):
    name: str
    password: pydantic.SecretStr
    pin: str = pydantic.Field(repr=False)
    address: Address
    size: Size
    _cache: dict = pydantic.PrivateAttr(default_factory=dict)


@attrs.define(repr=False)
class Parcel(Watched):
    weight: float
    label: str
    code: str = attrs.field(repr=False)


class Cart(Watched):
    def __init__(self):
        self.items = [1, 2]
        self.secret_code = "hunter2"
        self._cache = "cached"
        self.owner = Slotted()
        self.me = self


class Slotted(Watched):
    __slots__ = ("_hidden", "name", "unset")

    def __init__(self):
        self.name = "bob"
        self._hidden = 1


def events_of(function, *args, tmp_path):
    """Report what *function* raises, and give back the local variables of its frame."""
    client = spool_client(tmp_path / "spool")
    del RAN[:]
    exc = raised(function, *args)
    assert [] == RAN
    assert client.raven(exc_info=exc)
    assert [] == RAN
    ((_, _, event),) = spooled_items(tmp_path / "spool")
    return vars_of(event)


@pytest.fixture
def session():
    """An SQLAlchemy session on a database with one order of two lines; ``session.queries`` are those sent since."""
    engine = sqlalchemy.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        lines = [Line(id=1, sku="a-1"), Line(id=2, sku="b-2")]
        session.add(
            Order(id=7, email="bob@example.com", api_token="t0ken", amount=decimal.Decimal("9.90"), lines=lines)
        )
        session.add(Stock(sku="a-1", left=3, note="n"))
        session.commit()
        session.expunge_all()
        session.queries = []
        sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *args: session.queries.append(args[2]))
        yield session
    engine.dispose()


# -- whole frames ------------------------------------------------------------------------------------------------------


def test_sqlalchemy(session, tmp_path):
    """Rows of SQLAlchemy are shown by what is loaded, results by their columns; no query is made for the event."""
    order = session.get(Order, 7)
    bare = session.get(Line, 1)
    loaded = session.scalars(sqlalchemy.select(Order).options(orm.selectinload(Order.lines))).one()
    row = session.execute(sqlalchemy.select(Order.id, Order.email, Order.api_token)).one()
    stock = session.get(Stock, "a-1")
    session.expire(stock)
    new = Line(sku="c-3")
    assert order is loaded and bare.order is order
    del session.queries[:]

    def fail(order, bare, row, mapping, stock, new):
        raise ValueError(order)

    shown = events_of(fail, order, bare, row, row._mapping, stock, new, tmp_path=tmp_path)
    line = {"__class__": f"{M}.Line", "order_id": 7}
    expected = {
        "order": {
            "__class__": f"{M}.Order",
            "id": 7,
            "email": "bob@example.com",
            "api_token": "[Filtered]",
            "amount": "9.9000000000",
            "lines": [
                {**line, "id": 1, "sku": "a-1", "order": f"<{M}.Order object>"},
                {**line, "id": 2, "sku": "b-2"},
            ],
        },
        "bare": {**line, "id": 1, "sku": "a-1", "order": "…"},
        "row": {"id": 7, "email": "bob@example.com", "api_token": "[Filtered]"},
        "mapping": {"id": 7, "email": "bob@example.com", "api_token": "[Filtered]"},
        "stock": {"__class__": f"{M}.Stock", "left": "<not loaded>", "sku": "<not loaded>"},
        "new": {"__class__": f"{M}.Line", "sku": "c-3"},
    }
    assert "[Filtered]" == shown["bare"]["order"].pop("api_token")
    shown["bare"]["order"] = "…"
    assert expected == shown
    assert [] == session.queries


@pytest.fixture(scope="module")
def django_database():
    """A database in memory: another test of this process may have configured Django without one."""
    configure()
    from django.db import connections

    before = connections.settings
    connections.settings = connections.configure_settings(
        {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    )
    if hasattr(connections._connections, "default"):
        del connections["default"]
    yield
    if connections["default"].connection is not None:
        connections["default"].connection.close()  # Django's own close() leaves one in memory open
    del connections["default"]
    connections.settings = before


@pytest.fixture(scope="module")
def django_app(django_database):
    """Django with two models, made once: its settings are of the process."""
    from django.db import connection, models

    class Author(Watched, models.Model):
        name = models.CharField(max_length=20)
        session_key = models.CharField(max_length=20)

        class Meta:
            app_label = "golden"

    class Book(Watched, models.Model):
        title = models.CharField(max_length=20)
        author = models.ForeignKey(Author, on_delete=models.CASCADE)
        cover = models.FileField()
        text = models.TextField()

        class Meta:
            app_label = "golden"

    with connection.schema_editor() as editor:
        editor.create_model(Author)
        editor.create_model(Book)
    author = Author.objects.create(name="bob", session_key="hidden")
    Book.objects.create(title="t", author=author, cover="c.png", text="long")
    return connection, Author, Book


def test_django(django_app, tmp_path):
    """Models of Django are shown by the fields that are loaded, never by a related object; no query is made."""
    connection, _, book_class = django_app
    book = book_class.objects.select_related("author").defer("text").get()
    author = book.author
    books = book_class.objects.all()
    queries = []

    def fail(book, author, books):
        raise ValueError(book)

    with connection.execute_wrapper(lambda execute, *args: queries.append(args[0])):
        assert {
            "book": {
                "__class__": f"{M}.django_app.<locals>.Book", "id": 1, "title": "t", "author_id": 1, "cover": "c.png",
            },
            "author": {
                "__class__": f"{M}.django_app.<locals>.Author", "id": 1, "name": "bob", "session_key": "[Filtered]",
            },
            "books": {
                "__class__": "django.db.models.query.QuerySet", "model": f"<class {M}.django_app.<locals>.Book>",
            },
        } == events_of(fail, book, author, books, tmp_path=tmp_path)  # fmt: skip
    assert [] == queries


def test_models(tmp_path):
    """Models of pydantic, attrs classes and plain objects are shown by their data; what is private stays so."""
    customer = Customer(
        name="bob",
        password="hunter2",
        pin="1234",
        address=Address(city="Ulm", street="S"),
        size=Size.LARGE,
        plan="free",
    )
    customer._cache["x"] = "cached"

    def fail(customer, parcel, cart):
        raise ValueError("bad")

    assert {
        "customer": {
            "__class__": f"{M}.Customer",
            "name": "bob",
            "password": "[Filtered]",
            "address": {"__class__": f"{M}.Address", "city": "Ulm", "street": "S"},
            "size": {"__class__": f"{M}.Size", "LARGE": "L"},
            "plan": "free",
        },
        "parcel": {"__class__": f"{M}.Parcel", "weight": 1.5, "label": "l"},
        "cart": {
            "__class__": f"{M}.Cart",
            "items": [1, 2],
            "secret_code": "[Filtered]",
            "owner": {"__class__": f"{M}.Slotted", "name": "bob"},
            "me": f"<{M}.Cart object>",
        },
    } == events_of(fail, customer, Parcel(1.5, "l", "c"), Cart(), tmp_path=tmp_path)


def test_numpy_and_pandas(tmp_path):
    """Arrays, series and tables are shown by their type, their size and the first of what they hold."""
    objects = numpy.empty(1, dtype=object)
    objects[0] = Slotted()
    frame = pandas.DataFrame({"sku": list("abcd"), "count": [1, 2, 3, 4], "password": list("wxyz")})

    def fail(count, array, objects, series, frame):
        raise ValueError("bad")

    shown = events_of(
        fail, numpy.int64(5), numpy.arange(100.0).reshape(10, 10), objects, frame["count"], frame,
        tmp_path=tmp_path,
    )  # fmt: skip
    assert {
        "count": 5,
        "array": {
            "__class__": "numpy.ndarray",
            "dtype": "float64",
            "shape": [10, 10],
            "items": [float(n) for n in range(20)],
        },
        "objects": {
            "__class__": "numpy.ndarray",
            "dtype": "object",
            "shape": [1],
            "items": [{"__class__": f"{M}.Slotted", "name": "bob"}],
        },
        "series": {
            "__class__": "pandas.Series",
            "name": "count",
            "dtype": "int64",
            "length": 4,
            "items": [[0, 1], [1, 2], [2, 3], [3, 4]],
        },
        "frame": {
            "__class__": "pandas.DataFrame",
            "shape": [4, 3],
            "columns": ["sku", "count", "password"],
            "rows": [
                {"sku": "a", "count": 1, "password": "[Filtered]"},
                {"sku": "b", "count": 2, "password": "[Filtered]"},
                {"sku": "c", "count": 3, "password": "[Filtered]"},
            ],
        },
    } == shown


# -- the table, row by row ---------------------------------------------------------------------------------------------

RECORD = numpy.array([(1, "x")], dtype=[("id", int), ("token", "U3")])[0]
ROWS = {
    "arrow.arrow.Arrow": (arrow.get("2013-11-29T12:00:00+02:00"), "2013-11-29T12:00:00+02:00"),
    "numpy.datetime64": (numpy.datetime64("2013-11-29T12:00:00.123456789"), "2013-11-29T12:00:00.123456789"),
    "numpy.timedelta64": (numpy.timedelta64(5, "s"), "5 seconds"),
    "numpy.ndarray": (numpy.array(5), {"__class__": "numpy.ndarray", "dtype": "int64", "shape": [], "items": [5]}),
    "numpy.void": (RECORD, {"id": 1, "token": "[Filtered]"}),
    "pandas.Index": (
        pandas.Index(["a"], dtype=object),
        {"__class__": "pandas.Index", "dtype": "object", "length": 1, "items": ["a"]},
    ),
    "pandas.RangeIndex": (
        pandas.RangeIndex(3),
        {"__class__": "pandas.RangeIndex", "dtype": "int64", "length": 3, "items": [0, 1, 2]},
    ),
    "pandas.Timestamp": (pandas.Timestamp("2013-11-29 12:00", tz="UTC"), "2013-11-29T12:00:00+00:00"),
    "pandas.Timedelta": (pandas.Timedelta("90s"), "0 days 00:01:30"),
    "pandas.api.typing.NaTType": (pandas.NaT, "NaT"),
    "pandas.api.typing.NAType": (pandas.NA, "<NA>"),
    "pendulum.date.Date": (pendulum.date(2013, 11, 29), "2013-11-29"),
    "pendulum.datetime.DateTime": (pendulum.datetime(2013, 11, 29, tz="Europe/Berlin"), "2013-11-29T00:00:00+01:00"),
    "pendulum.duration.Duration": (pendulum.duration(hours=1), "1:00:00"),
    "pendulum.interval.Interval": (
        pendulum.datetime(2013, 11, 30) - pendulum.datetime(2013, 11, 29),
        "1 day, 0:00:00",
    ),
    "pendulum.time.Time": (pendulum.time(12, 30), "12:30:00"),
    **{
        f"numpy.{kind.__name__}": (kind(1), expected)
        for kind, expected in [
            (numpy.bool_, True), (numpy.int8, 1), (numpy.int16, 1), (numpy.int32, 1), (numpy.int64, 1),
            (numpy.longlong, 1), (numpy.uint8, 1), (numpy.uint16, 1), (numpy.uint32, 1), (numpy.uint64, 1),
            (numpy.ulonglong, 1), (numpy.float16, 1.0), (numpy.float32, 1.0), (numpy.float64, 1.0),
            (numpy.longdouble, "1.0"), (numpy.complex64, "(1+0j)"), (numpy.complex128, "(1+0j)"),
        ]
    },
}  # fmt: skip
# In whole frames above; or the name of the same type in another version, or on another machine.
ELSEWHERE = {"pandas.DataFrame", "pandas.Series", "sqlalchemy.engine.row.Row", "sqlalchemy.engine.row.RowMapping"}
ELSEWHERE |= {"django.db.models.fields.files.FieldFile", "django.db.models.fields.files.ImageFieldFile"}
OTHER_NAMES = {"numpy.bool", "numpy.bool_", "numpy.intc", "numpy.uintc"}
OTHER_NAMES |= {name for name in BY_NAME if name.startswith(("pandas._libs.", "pandas.core."))}


@pytest.mark.parametrize("name", ROWS)
def test_row(name):
    """Each library type of the table is shown as its row says."""
    value, expected = ROWS[name]
    assert row_of(type(value)) is not None
    assert expected == make_walker().show(value)


def test_every_row_has_a_test():
    """A row of a library that nobody tests may be wrong for years."""
    libraries = ("arrow.", "django.", "numpy.", "pandas.", "pendulum.", "sqlalchemy.")
    rows = {name for name in BY_NAME if name.startswith(libraries)}
    assert rows - OTHER_NAMES == (set(ROWS) | ELSEWHERE) - OTHER_NAMES


def test_an_array_of_the_application_in_a_table(tmp_path):
    """An extension array of the application, in a table of pandas, is not asked for anything."""

    class Kind(pandas.api.extensions.ExtensionDtype):
        name = "own"
        type = object

        @classmethod
        def construct_array_type(cls):
            return Own

    class Own(pandas.api.extensions.ExtensionArray):
        dtype = Kind()
        nbytes = 0

        def __len__(self):
            return 2

        def __getitem__(self, item):
            RAN.append("__getitem__")
            return 1

        def copy(self):
            return self

    series = pandas.Series(Own())
    frame = series.to_frame("own")

    def fail(series, frame):
        raise ValueError("bad")

    shown = events_of(fail, series, frame, tmp_path=tmp_path)
    assert (2, [2, 1]) == (shown["series"]["length"], shown["frame"]["shape"])


def test_a_zone_of_the_application():
    """A date of a library with a time zone of the application is shown without asking that zone."""

    class Zone(datetime.tzinfo):
        def utcoffset(self, moment):
            RAN.append("utcoffset")
            return datetime.timedelta(0)

        dst = tzname = utcoffset

    values = [pandas.Timestamp("2013-11-29", tz=Zone()), pendulum.DateTime(2013, 11, 29, tzinfo=Zone())]
    del RAN[:]
    for value in values:
        assert make_walker().show(value).startswith("2013-11-29T00:00:00 <")
    assert [] == RAN
