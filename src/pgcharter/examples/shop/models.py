"""The shop's tables as the service sees them: mapped classes of SQLAlchemy, no more of each than it needs."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Computed, Enum, ForeignKey, Integer, Numeric, String, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, deferred, mapped_column, relationship

from pgcharter.runtime.models import TenantRow, Timestamps, Versioned, uuid_key
from pgcharter.runtime.models_soft_delete import SoftDelete


class Base(DeclarativeBase):
    """Tables of the shop."""


class Product(TenantRow, Timestamps, SoftDelete, Base):
    """What can be bought."""

    __tablename__ = "products"
    __table_args__ = ({"schema": "catalog"},)

    product_id: Mapped[UUID] = uuid_key()
    category_id: Mapped[UUID]
    sku: Mapped[str] = mapped_column(String(40))
    product_name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(String(4000))
    product_status: Mapped[str] = mapped_column(Enum("draft", "active", "discontinued", name="product_status", schema="catalog"))
    price_amount: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    search_vector: Mapped[str] = deferred(mapped_column(TSVECTOR, Computed("…", persisted=True)))


class Order(TenantRow, Timestamps, Base):
    """An order of a customer."""

    __tablename__ = "orders"
    __table_args__ = ({"schema": "sales"},)

    order_id: Mapped[UUID] = uuid_key()
    user_id: Mapped[UUID]
    order_number: Mapped[str] = mapped_column(String(32))
    order_status: Mapped[str] = mapped_column(
        Enum(
            "draft", "pending_payment", "paid", "processing", "shipped", "delivered", "cancelled", "refunded",
            name="order_status", schema="sales",
        ),
        server_default=text("'draft'"),
    )  # fmt: skip
    currency_code: Mapped[str] = mapped_column(String(3))
    items_amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    shipping_amount: Mapped[Decimal] = mapped_column(Numeric(8, 2), server_default=text("0"))
    total_amount: Mapped[Decimal] = mapped_column(Numeric(12, 2), Computed("items_amount + shipping_amount", persisted=True))
    shipping_city: Mapped[str] = mapped_column(String(100))
    items: Mapped[list[OrderItem]] = relationship(order_by="OrderItem.line_number", lazy="raise")


class OrderItem(TenantRow, Timestamps, Base):
    """A line of an order."""

    __tablename__ = "order_items"
    __table_args__ = ({"schema": "sales"},)

    order_item_id: Mapped[UUID] = uuid_key()
    order_id: Mapped[UUID] = mapped_column(ForeignKey("sales.orders.order_id"))
    line_number: Mapped[int] = mapped_column(Integer)
    product_id: Mapped[UUID]
    quantity: Mapped[int] = mapped_column(Integer)
    unit_price_amount: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    line_amount: Mapped[Decimal] = mapped_column(Numeric(12, 2), Computed("quantity * unit_price_amount", persisted=True))


class Account(TenantRow, Timestamps, Versioned, Base):
    """Money of a vendor that the marketplace keeps."""

    __tablename__ = "accounts"
    __table_args__ = ({"schema": "sales"},)

    account_id: Mapped[UUID] = uuid_key()
    vendor_id: Mapped[UUID]
    currency_code: Mapped[str] = mapped_column(String(3))
    balance_amount: Mapped[Decimal] = mapped_column(Numeric(14, 2), server_default=text("0"))


class Transfer(TenantRow, Base):
    """Money that went from one account to another."""

    __tablename__ = "transfers"
    __table_args__ = ({"schema": "sales"},)

    transfer_id: Mapped[UUID] = uuid_key()
    from_account_id: Mapped[UUID]
    to_account_id: Mapped[UUID]
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
