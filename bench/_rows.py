"""The second workload: 17 frames of rows and models, as an application with SQLAlchemy and pydantic has them.

An order with its 20 lines, a dict of the lines by name, and a customer go down from frame to frame, as arguments do;
each frame looks at a line of its own, and has a cart and a dict of its own. All is loaded before the error, so that
nobody's __repr__ could query.

A frame has ten variables: so many sentry-sdk shows. With ``plain=True`` it has the two plain containers of the standard
workload as well, which are work for us alone: sentry-sdk leaves out what is more than ten.
"""

import datetime
import decimal

import pydantic
import sqlalchemy
from sqlalchemy import orm

FRAMES = 17
LINES = 20


class Base(orm.MappedAsDataclass, orm.DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True, init=False)
    email: orm.Mapped[str]
    status: orm.Mapped[str]
    note: orm.Mapped[str]
    total: orm.Mapped[float]
    placed: orm.Mapped[datetime.datetime]
    lines: orm.Mapped[list["Line"]] = orm.relationship(back_populates="order")


class Line(Base):
    __tablename__ = "lines"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True, init=False)
    order_id: orm.Mapped[int] = orm.mapped_column(sqlalchemy.ForeignKey("orders.id"), init=False)
    sku: orm.Mapped[str]
    count: orm.Mapped[int]
    order: orm.Mapped[Order] = orm.relationship(back_populates="lines", init=False, repr=False)


class Address(pydantic.BaseModel):
    city: str
    street: str


class Customer(pydantic.BaseModel):
    name: str
    born: datetime.date
    address: Address
    tags: list[str]


class Cart:
    def __init__(self, number):
        self.number = number
        self.amount = decimal.Decimal("9.90")
        self.open = True


LOADED = {}


def deep(n, database, order, lines, by_sku, customer):
    line = lines[n]
    cart = Cart(n)
    changes = {"count": line.count + 1, "sku": line.sku, "total": cart.amount * n}
    text = "x" * 200  # noqa: F841
    if n == 0:
        raise ValueError(f"no stock for {line.sku}")
    return deep(n - 1, database, order, lines, by_sku, customer), changes


def deep_with_plain(n, database, order, lines, by_sku, customer):
    line = lines[n]
    cart = Cart(n)
    changes = {"count": line.count + 1, "sku": line.sku, "total": cart.amount * n}
    text = "x" * 200  # noqa: F841
    numbers = list(range(50))  # noqa: F841
    by_name = {f"k{i}": i for i in range(20)}  # noqa: F841
    if n == 0:
        raise ValueError(f"no stock for {line.sku}")
    return deep_with_plain(n - 1, database, order, lines, by_sku, customer), changes


def app(environ, start_response):
    order = LOADED["order"]
    by_sku = {line.sku: line for line in order.lines}
    return [LOADED["deep"](FRAMES - 2, "sqlite://", order, order.lines, by_sku, LOADED["customer"])]


def make_app(plain=False):
    LOADED["deep"] = deep_with_plain if plain else deep
    engine = sqlalchemy.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    session = orm.Session(engine)
    lines = [Line(sku=f"sku-{n}", count=n) for n in range(LINES)]
    placed = datetime.datetime(2013, 11, 29, 12)
    session.add(Order(email="bob@example.com", status="new", note="n" * 40, total=9.9, placed=placed, lines=lines))
    session.commit()
    LOADED["order"] = session.scalars(sqlalchemy.select(Order).options(orm.selectinload(Order.lines))).one()
    session.expunge_all()
    address = {"city": "Ulm", "street": "Langer Weg 5"}
    LOADED["customer"] = Customer(name="bob", born=datetime.date(1980, 1, 1), address=address, tags=["a", "b"])
    return app
