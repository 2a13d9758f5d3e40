//! The order as it is sent (contract §3) and as it is answered (§6).

use utoipa::openapi::{ComponentsBuilder, schema::Type};

use super::schema::{
    Any, Optional, Required, amount, answered, checkout, count, described, flag, id, list,
    local_moment, long, map, moment, named, number, numeric, one_of, phone, sent, sent_list, text,
    value, word,
};
use crate::{
    config::Limits,
    order::model::{ClientType, Status},
};

/// `decimal(12,2)`
const TOTAL: f64 = 9_999_999_999.99;
/// `decimal(10,2)`
const PRICE: f64 = 99_999_999.99;
/// Characters of most texts, and of the short ones.
const LONG: Option<usize> = Some(255);
const SHORT: Option<usize> = Some(10);

/// Everything that is sent.
pub fn sent_schemas(components: ComponentsBuilder, limits: &Limits) -> ComponentsBuilder {
    components
        .schema(
            "Batch",
            list(
                Type::Array.into(),
                named("Order"),
                (0, limits.batch_orders),
                ("Пакет заказов", "A batch of orders"),
            ),
        )
        .schema("Order", order(limits))
        .schema("OrderItem", item())
        .schema("Client", client(limits))
        .schema(
            "Address",
            sent(
                ("Адрес клиента", "A client's address"),
                [
                    (
                        "id",
                        Optional,
                        id(Optional, ("Ваш id адреса", "Your id of the address")),
                    ),
                    (
                        "external_id",
                        Optional,
                        number((
                            "Наш номер адреса, если известен",
                            "Our number of the address, if you know it",
                        )),
                    ),
                    ("city", Required, city()),
                    ("street", Required, street()),
                    ("house", Required, house()),
                    ("str", Required, line()),
                    ("entrance", Optional, entrance()),
                    ("floor", Optional, floor()),
                    ("room", Optional, room()),
                ],
            ),
        )
        .schema(
            "ShippingAddress",
            sent(
                ("Адрес доставки", "Where the order goes"),
                [
                    (
                        "user_address_id",
                        Optional,
                        numeric((
                            "Наш номер одного из адресов этого клиента (id из нашего ответа)",
                            "Our number of one of this client's addresses (the id of our answer)",
                        )),
                    ),
                    ("city", Required, city()),
                    ("street", Required, street()),
                    ("house", Required, house()),
                    ("str", Required, line()),
                    ("entrance", Optional, entrance()),
                    ("floor", Optional, floor()),
                    ("room", Optional, room()),
                ],
            ),
        )
}

fn order(limits: &Limits) -> Any {
    sent(
        (
            "Заказ. Неизвестные поля не читаются; поле, которого нет, оставляет сохранённое значение, null и \"\" стирают его",
            "An order. Unknown fields are ignored; an absent field keeps its stored value, null and \"\" clear it",
        ),
        [
            (
                "id",
                Required,
                id(
                    Required,
                    (
                        "Ваш id заказа: по нему заказ узнаётся при повторе",
                        "Your id of the order: by it a repetition is known",
                    ),
                ),
            ),
            (
                "external_id",
                Optional,
                number((
                    "Наш номер заказа, если известен",
                    "Our number of the order, if you know it",
                )),
            ),
            (
                "status",
                Required,
                one_of(
                    Required,
                    Status::ALLOWED,
                    (
                        "Состояние: движется только вперёд",
                        "The status: only moves forward",
                    ),
                ),
            ),
            (
                "created_at",
                Optional,
                moment(
                    Optional,
                    (
                        "Когда заказ сделан; без него — время первого приёма",
                        "When it was made; else when it first came in",
                    ),
                ),
            ),
            (
                "total",
                Required,
                amount(
                    Required,
                    TOTAL,
                    (
                        "Сумма заказа с доставкой, рубли",
                        "The whole, delivery included, roubles",
                    ),
                ),
            ),
            (
                "delivery_cost",
                Optional,
                amount(Optional, TOTAL, ("Доставка, рубли", "Delivery, roubles")),
            ),
            (
                "coins",
                Optional,
                amount(Optional, TOTAL, ("Баллы", "Points")),
            ),
            (
                "payment_type",
                Optional,
                text(Optional, LONG, ("Способ оплаты", "How it is paid")),
            ),
            ("payment_status", Optional, flag(("Оплачен?", "Paid?"))),
            (
                "shipping_date_from",
                Required,
                moment(Required, ("Доставить с", "Deliver from")),
            ),
            (
                "shipping_date_to",
                Required,
                moment(
                    Required,
                    ("… и до; не раньше начала", "… until; not before the start"),
                ),
            ),
            (
                "comment",
                Optional,
                text(Optional, None, ("Комментарий", "Comment")),
            ),
            (
                "count_of_returned_bottles",
                Optional,
                count(
                    Optional,
                    0,
                    ("Возвращаемая тара, штук", "Empty bottles to take back"),
                ),
            ),
            (
                "ask_for_checkout",
                Optional,
                checkout((
                    "bill — нужен счёт, agreement — договор, или true / false; возвращается как прислано",
                    "bill wants an invoice, agreement a contract, or true / false; echoed as sent",
                )),
            ),
            (
                "order_item_list",
                Required,
                sent_list(
                    Required,
                    named("OrderItem"),
                    limits.order_items,
                    (
                        "Строки заказа; заменяют прежние",
                        "The lines; they replace the earlier ones",
                    ),
                ),
            ),
            ("client", Required, named("Client")),
            ("shipping_address", Required, named("ShippingAddress")),
        ],
    )
}

fn item() -> Any {
    sent(
        ("Строка заказа", "An order's line"),
        [
            (
                "product_id",
                Required,
                id(Required, ("Ваш id товара", "Your id of the product")),
            ),
            (
                "id",
                Optional,
                id(
                    Optional,
                    (
                        "Второй id, по которому товар ищется, если не найден по product_id",
                        "Another id to look the product up by",
                    ),
                ),
            ),
            ("external_id", Optional, number(("Хранится", "Kept"))),
            ("name", Optional, text(Optional, LONG, ("Название", "Name"))),
            (
                "price",
                Required,
                amount(
                    Required,
                    PRICE,
                    (
                        "Цена за штуку, рубли; 0 можно",
                        "Price of one, roubles; may be 0",
                    ),
                ),
            ),
            (
                "quantity",
                Required,
                count(Required, 1, ("Количество", "How many")),
            ),
            (
                "order_product_id",
                Optional,
                long((
                    "Ваш номер строки; возвращается как прислан",
                    "Your number of the line; echoed",
                )),
            ),
        ],
    )
}

fn client(limits: &Limits) -> Any {
    sent(
        (
            "Клиент. Без id и external_id — гость: нужны username и phone, узнаётся по телефону. С ними — username нужен, пока мы клиента не знаем",
            "The client. Without id and external_id a guest: username and phone are required, known by the phone. With them username is required until we know the client",
        ),
        [
            (
                "id",
                Optional,
                id(Optional, ("Ваш id клиента", "Your id of the client")),
            ),
            (
                "external_id",
                Optional,
                number((
                    "Наш номер клиента, если известен",
                    "Our number of the client, if you know it",
                )),
            ),
            (
                "account_number",
                Optional,
                long(("Лицевой счёт", "Account")),
            ),
            (
                "type",
                Optional,
                one_of(
                    Optional,
                    ClientType::ALLOWED,
                    (
                        "fiz — физлицо, jur — юрлицо",
                        "fiz: a person, jur: a company",
                    ),
                ),
            ),
            ("username", Optional, text(Optional, LONG, ("Имя", "Name"))),
            (
                "phone",
                Optional,
                phone((
                    "Телефон: +79191991919, 89191991919, 79191991919, 9191991919 или + и 8–15 цифр; пробелы, дефисы и скобки можно",
                    "Phone: +79191991919, 89191991919, 79191991919, 9191991919 or + and 8 to 15 digits; spaces, dashes and brackets may be in it",
                )),
            ),
            (
                "phones",
                Optional,
                sent_list(
                    Optional,
                    phone(("Так же, как phone", "As phone")),
                    limits.client_addresses,
                    ("Ещё телефоны", "More phones"),
                ),
            ),
            ("email", Optional, text(Optional, LONG, ("Почта", "E-mail"))),
            (
                "emai",
                Optional,
                text(
                    Optional,
                    LONG,
                    (
                        "То же: так поле названо в документе",
                        "The same, as the document misspells it",
                    ),
                ),
            ),
            (
                "comment",
                Optional,
                text(Optional, None, ("Комментарий", "Comment")),
            ),
            (
                "addresses",
                Optional,
                sent_list(
                    Optional,
                    named("Address"),
                    limits.client_addresses,
                    (
                        "Адреса: добавляются и обновляются, не удаляются",
                        "Addresses: added and updated, never removed",
                    ),
                ),
            ),
        ],
    )
}

fn city() -> Any {
    text(Required, LONG, ("Город", "City"))
}

fn street() -> Any {
    text(Required, LONG, ("Улица", "Street"))
}

fn house() -> Any {
    text(Required, SHORT, ("Дом", "House"))
}

fn line() -> Any {
    text(
        Required,
        LONG,
        ("Адрес одной строкой", "The address in one line"),
    )
}

fn entrance() -> Any {
    text(Optional, SHORT, ("Подъезд", "Entrance"))
}

fn floor() -> Any {
    text(Optional, SHORT, ("Этаж", "Floor"))
}

fn room() -> Any {
    text(Optional, SHORT, ("Квартира или офис", "Flat or office"))
}

/// Everything that is answered about an order that was taken. In a dry run (`dry`) numbers that nobody gave yet are null.
pub fn answered_schemas(components: ComponentsBuilder, dry: bool) -> ComponentsBuilder {
    use Type::{Boolean, Integer, Null, Number, String};
    let name = |name: &str| super::of_run(name, dry);
    let our = |number: Type, about| {
        if dry {
            value([number, Null], about)
        } else {
            value([number], about)
        }
    };
    let text = |about| value([String, Null], about);
    let address = [
        ("external_id", text(("Ваш id", "Your id"))),
        (
            "name",
            value(
                [String],
                ("Адрес, составленный из частей", "The address, put together"),
            ),
        ),
        ("city", value([String], ("Город", "City"))),
        ("street", value([String], ("Улица", "Street"))),
        ("house", value([String], ("Дом", "House"))),
        ("room", text(("Квартира или офис", "Flat or office"))),
        ("entrance", text(("Подъезд", "Entrance"))),
        ("floor", text(("Этаж", "Floor"))),
        ("district_id", value([Integer, Null], ("Район", "District"))),
        (
            "str",
            value([String], ("Адрес одной строкой", "The address in one line")),
        ),
    ];
    let with_address = |mut object: utoipa::openapi::ObjectBuilder| {
        for (name, schema) in address.clone() {
            object = object.property(name, schema).required(name);
        }
        object
    };
    components
        .schema(
            name("AnsweredOrder"),
            answered(
                ("Заказ, как он сохранён", "The order as stored"),
                [
                    (
                        "id",
                        our(String, ("Наш номер заказа", "Our number of the order")),
                    ),
                    (
                        "external_id",
                        value([String], ("Ваш id заказа", "Your id of the order")),
                    ),
                    (
                        "status",
                        word(Status::ALLOWED.split(", "), ("Состояние", "The status")).into(),
                    ),
                    ("client", named(&name("AnsweredClient"))),
                    (
                        "account_number",
                        value([Integer, Null], ("Лицевой счёт", "Account")),
                    ),
                    ("total", value([Number], ("Сумма", "The whole"))),
                    (
                        "delivery_cost",
                        value([Number, Null], ("Доставка", "Delivery")),
                    ),
                    ("coins", value([Number, Null], ("Баллы", "Points"))),
                    ("payment_type", text(("Способ оплаты", "How it is paid"))),
                    ("payment_status", value([Boolean], ("Оплачен?", "Paid?"))),
                    (
                        "created_at",
                        local_moment((
                            "Когда сделан, местное время",
                            "When it was made, local time",
                        )),
                    ),
                    ("shipping_address", named(&name("AnsweredShippingAddress"))),
                    (
                        "shipping_date_from",
                        local_moment(("Доставить с, местное время", "Deliver from, local time")),
                    ),
                    ("shipping_date_to", local_moment(("… до", "… until"))),
                    (
                        "order_item_list",
                        list(
                            Type::Array.into(),
                            named("AnsweredItem"),
                            (1, usize::MAX),
                            ("Строки", "The lines"),
                        ),
                    ),
                    ("comment", text(("Комментарий", "Comment"))),
                    (
                        "ask_for_checkout",
                        value([String, Boolean, Null], ("Как прислано", "As sent")),
                    ),
                    (
                        "count_of_returned_bottles",
                        value(
                            [Integer],
                            ("Возвращаемая тара", "Empty bottles to take back"),
                        ),
                    ),
                ],
            ),
        )
        .schema(
            name("AnsweredClient"),
            answered(
                ("Клиент", "The client"),
                [
                    (
                        "id",
                        our(Integer, ("Наш номер клиента", "Our number of the client")),
                    ),
                    (
                        "external_id",
                        text((
                            "Ваш id клиента; у гостя null",
                            "Your id of the client; a guest's is null",
                        )),
                    ),
                    (
                        "username",
                        text((
                            "Имя; null, если публикация открыта всем и имя в запросе не пришло",
                            "Name; null where anybody may post to the publication and none came",
                        )),
                    ),
                    ("comment", text(("Комментарий", "Comment"))),
                    ("email", text(("Почта", "E-mail"))),
                    (
                        "account_number",
                        value([Integer, Null], ("Лицевой счёт", "Account")),
                    ),
                    (
                        "type",
                        word(
                            ClientType::ALLOWED.split(", "),
                            ("Физлицо или юрлицо", "A person or a company"),
                        )
                        .into(),
                    ),
                    (
                        "phones",
                        list(
                            Type::Array.into(),
                            value([String], ("Телефон", "Phone")),
                            (0, usize::MAX),
                            ("Телефоны", "Phones"),
                        ),
                    ),
                    (
                        "addresses",
                        list(
                            Type::Array.into(),
                            named(&name("AnsweredAddress")),
                            (0, usize::MAX),
                            ("Все адреса клиента", "All addresses of the client"),
                        ),
                    ),
                    (
                        "requisites",
                        answered(
                            ("Реквизиты", "Requisites"),
                            [("bank_account", named("BankAccount"))],
                        )
                        .into(),
                    ),
                    (
                        "legal_address",
                        list(
                            Type::Array.into(),
                            value([String], ("Адрес", "Address")),
                            (0, usize::MAX),
                            ("Юридические адреса", "Legal addresses"),
                        ),
                    ),
                    (
                        "product_price_list",
                        map(
                            (
                                "Свои цены клиента, по нашим номерам товаров",
                                "The client's own prices, by our numbers of products",
                            ),
                            named("Price"),
                        ),
                    ),
                    (
                        "coins_amount",
                        value(
                            [Number, Null],
                            (
                                "Баланс баллов; null, если публикация открыта всем",
                                "Points it has; null where anybody may post to the publication",
                            ),
                        ),
                    ),
                    (
                        "loyalty_system_is_active",
                        value(
                            [Boolean],
                            ("Участвует в программе баллов?", "Does it collect points?"),
                        ),
                    ),
                ],
            ),
        )
        .schema(
            name("AnsweredAddress"),
            with_address(answered(
                ("Адрес клиента", "A client's address"),
                [(
                    "id",
                    our(Integer, ("Наш номер адреса", "Our number of the address")),
                )],
            )),
        )
        .schema(
            name("AnsweredShippingAddress"),
            with_address(answered(
                ("Адрес доставки", "Where the order goes"),
                [
                    (
                        "id",
                        value(
                            [Integer, Null],
                            (
                                "Наш номер адреса; null, если у клиента уже слишком много адресов и адрес хранится в самом заказе",
                                "Our number of the address; null where the client has too many addresses already, and the order keeps this one itself",
                            ),
                        ),
                    ),
                    (
                        "user_address_id",
                        value([Integer, Null], ("То же значение", "The same")),
                    ),
                ],
            )),
        )
}

/// What stands in answers and is the same in a dry run.
pub fn shared_schemas(components: ComponentsBuilder) -> ComponentsBuilder {
    use Type::{Boolean, Integer, Null, Number, String};
    let text = |about| value([String, Null], about);
    components
        .schema(
            "AnsweredItem",
            answered(
                ("Строка заказа", "An order's line"),
                [
                    ("name", text(("Название", "Name"))),
                    ("quantity", value([Integer], ("Количество", "How many"))),
                    ("price", value([Number], ("Цена за штуку", "Price of one"))),
                    (
                        "product_id",
                        value(
                            [Integer, Null],
                            (
                                "Наш номер товара; null, если товар не найден",
                                "Our number of the product; null where it was not found",
                            ),
                        ),
                    ),
                    (
                        "order_product_id",
                        value(
                            [Integer, Null],
                            ("Ваш номер строки", "Your number of the line"),
                        ),
                    ),
                ],
            ),
        )
        .schema(
            "BankAccount",
            answered(
                ("Банковские реквизиты", "The bank account"),
                [
                    ("inn", text(("ИНН", "Taxpayer's number"))),
                    ("kpp", text(("КПП", "Registration reason code"))),
                    ("account_number", text(("Счёт", "Account"))),
                    (
                        "correspondent_account",
                        text(("Корреспондентский счёт", "Correspondent account")),
                    ),
                    ("bik", text(("БИК", "Bank's code"))),
                    ("bank_name", text(("Банк", "Bank's name"))),
                ],
            ),
        )
        .schema(
            "Price",
            answered(
                ("Своя цена клиента", "A client's own price"),
                [
                    (
                        "product_id",
                        value([Integer], ("Наш номер товара", "Our number of the product")),
                    ),
                    (
                        "external_product_id",
                        text(("Ваш id товара", "Your id of the product")),
                    ),
                    (
                        "price",
                        value([String], ("Рубли, \"101.00\"", "Roubles, \"101.00\"")),
                    ),
                    ("active", value([Boolean], ("Действует?", "In force?"))),
                ],
            ),
        )
        .schema(
            "Warning",
            answered(
                (
                    "Что принято не так, как прислано",
                    "What was taken otherwise than sent",
                ),
                [
                    ("field", place()),
                    ("code", described("WarningCode", ("Код", "Code"))),
                    ("message", message()),
                ],
            ),
        )
        .schema(
            "Fault",
            answered(
                ("Почему заказ не принят", "Why the order was not taken"),
                [
                    ("field", place()),
                    ("code", described("FaultCode", ("Код", "Code"))),
                    ("message", message()),
                ],
            ),
        )
}

fn place() -> Any {
    value(
        [Type::String],
        (
            "Где: order_item_list[0].price; пусто — заказ целиком",
            "Where: order_item_list[0].price; empty: the order as a whole",
        ),
    )
}

/// A text for people.
pub fn message() -> Any {
    value(
        [Type::String],
        (
            "Текст на языке из Accept-Language",
            "A text in the language of Accept-Language",
        ),
    )
}
