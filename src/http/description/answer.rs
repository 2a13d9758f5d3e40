//! The order as it is answered (contract §6), in tables.

use super::schema::{
    Json, answered, both, list, local_moment, map, named, of_run, or_null, value, word,
};
use crate::order::{
    content::{OrderContent, Shown},
    fields::{self, Both},
    model::{ClientType, Status},
};

/// A key, what it holds, and about it in Russian and in English.
type Field = (&'static str, Holds, &'static str, &'static str);

#[derive(Clone, Copy)]
enum Holds {
    A(&'static [&'static str]),
    /// A number of ours, of this type. A dry run's may be null.
    Ours(&'static [&'static str; 2]),
    MomentOrNull,
    /// One of these, with commas between them.
    Word(&'static str),
    /// The schema of that name in a dry run or out of one.
    OfRun(&'static str),
    OfRunOrNull(&'static str),
    Code(&'static str),
    /// Texts, each about this.
    Texts(Both),
    List(&'static str),
    ListOfRun(&'static str),
    Prices,
    Requisites,
}
use Holds::{
    A, Code, List, ListOfRun, MomentOrNull, OfRun, OfRunOrNull, Ours, Prices, Requisites, Texts,
    Word,
};

const TEXT: Holds = A(&["string"]);
const TEXT_OR_NULL: Holds = A(&["string", "null"]);
const INTEGER: Holds = A(&["integer"]);
const INTEGER_OR_NULL: Holds = A(&["integer", "null"]);
const NUMBER: Holds = A(&["number"]);
const NUMBER_OR_NULL: Holds = A(&["number", "null"]);
const FLAG: Holds = A(&["boolean"]);
const OUR_NUMBER: Holds = Ours(&["integer", "null"]);

/// And what stands in its optional content ([`OrderContent`]).
#[rustfmt::skip]
const ORDER: &[Field] = &[
    ("id", Ours(&["string", "null"]), "Наш номер заказа", "Our number of the order"),
    ("external_id", TEXT, "Ваш id заказа", "Your id of the order"),
    ("status", Word(Status::ALLOWED), "Состояние", "The status"),
    ("client", OfRun("AnsweredClient"), "", ""),
    ("account_number", INTEGER_OR_NULL, "Лицевой счёт", "Account"),
    ("total", NUMBER_OR_NULL,
        "Сумма; null только у отмены: без суммы, если публикация открыта всем, или если взят только её статус",
        "The whole; null only of a cancellation: without one, where anybody may post, or of which only the status was taken"),
    ("created_at", MomentOrNull,
        "Когда сделан, местное время; null — как у total",
        "When it was made, local time; null as of total"),
    ("shipping_address", OfRunOrNull("AnsweredShippingAddress"), "null — как у total", "null as of total"),
    ("shipping_date_from", MomentOrNull,
        "Доставить с, местное время; null — как у total",
        "Deliver from, local time; null as of total"),
    ("shipping_date_to", MomentOrNull, "… до", "… until"),
    ("order_item_list", List("AnsweredItem"),
        "Строки; пусто — как null у total", "The lines; empty where total is null"),
];

#[rustfmt::skip]
const ITEM: &[Field] = &[
    ("name", TEXT_OR_NULL, "Название", "Name"),
    ("quantity", INTEGER, "Количество", "How many"),
    ("price", NUMBER, "Цена за штуку", "Price of one"),
    ("product_id", INTEGER_OR_NULL,
        "Наш номер товара; null, если товар не найден",
        "Our number of the product; null where it was not found"),
    ("order_product_id", INTEGER_OR_NULL, "Ваш номер строки", "Your number of the line"),
];

#[rustfmt::skip]
const CLIENT: &[Field] = &[
    ("id", OUR_NUMBER, "Наш номер клиента", "Our number of the client"),
    ("external_id", TEXT_OR_NULL, "Ваш id клиента; у гостя null", "Your id of the client; a guest's is null"),
    ("username", TEXT_OR_NULL,
        "Имя; null, если публикация открыта всем и имя в запросе не пришло, и если от отмены взят только статус",
        "Name; null where anybody may post to the publication and none came, and where only a cancellation's status was taken"),
    ("comment", TEXT_OR_NULL, "Комментарий", "Comment"),
    ("email", TEXT_OR_NULL, "Почта", "E-mail"),
    ("account_number", INTEGER_OR_NULL, "Лицевой счёт", "Account"),
    ("type", Word(ClientType::ALLOWED), "Физлицо или юрлицо", "A person or a company"),
    ("phones", Texts(("Телефон", "Phone")), "Телефоны", "Phones"),
    ("addresses", ListOfRun("AnsweredAddress"), "Все адреса клиента", "All addresses of the client"),
    ("requisites", Requisites, "Реквизиты", "Requisites"),
    ("legal_address", Texts(("Адрес", "Address")), "Юридические адреса", "Legal addresses"),
    ("product_price_list", Prices,
        "Свои цены клиента, по нашим номерам товаров",
        "The client's own prices, by our numbers of products"),
    ("coins_amount", NUMBER_OR_NULL,
        "Баланс баллов; null, если публикация открыта всем или если от отмены взят только статус",
        "Points it has; null where anybody may post to the publication or only a cancellation's status was taken"),
    ("loyalty_system_is_active", FLAG, "Участвует в программе баллов?", "Does it collect points?"),
];

const CLIENT_ADDRESS: &[Field] = &[(
    "id",
    OUR_NUMBER,
    "Наш номер адреса",
    "Our number of the address",
)];

#[rustfmt::skip]
const SHIPPING_ADDRESS: &[Field] = &[
    ("id", INTEGER_OR_NULL,
        "Наш номер адреса; null, если у клиента уже слишком много адресов и адрес хранится в самом заказе",
        "Our number of the address; null where the client has too many addresses already, and the order keeps this one itself"),
    ("user_address_id", INTEGER_OR_NULL, "То же значение", "The same"),
];

/// What both kinds of addresses have.
#[rustfmt::skip]
const ADDRESS: &[Field] = &[
    ("external_id", TEXT_OR_NULL, "Ваш id", "Your id"),
    ("name", TEXT, "Адрес, составленный из частей", "The address, put together"),
    ("city", TEXT, "Город", "City"),
    ("street", TEXT, "Улица", "Street"),
    ("house", TEXT, "Дом", "House"),
    ("room", TEXT_OR_NULL, "Квартира или офис", "Flat or office"),
    ("entrance", TEXT_OR_NULL, "Подъезд", "Entrance"),
    ("floor", TEXT_OR_NULL, "Этаж", "Floor"),
    ("district_id", INTEGER_OR_NULL, "Район", "District"),
    ("str", TEXT, "Адрес одной строкой", "The address in one line"),
];

#[rustfmt::skip]
const BANK_ACCOUNT: &[Field] = &[
    ("inn", TEXT_OR_NULL, "ИНН", "Taxpayer's number"),
    ("kpp", TEXT_OR_NULL, "КПП", "Registration reason code"),
    ("account_number", TEXT_OR_NULL, "Счёт", "Account"),
    ("correspondent_account", TEXT_OR_NULL, "Корреспондентский счёт", "Correspondent account"),
    ("bik", TEXT_OR_NULL, "БИК", "Bank's code"),
    ("bank_name", TEXT_OR_NULL, "Банк", "Bank's name"),
];

#[rustfmt::skip]
const PRICE: &[Field] = &[
    ("product_id", INTEGER, "Наш номер товара", "Our number of the product"),
    ("external_product_id", TEXT_OR_NULL, "Ваш id товара", "Your id of the product"),
    ("price", TEXT, "Рубли, \"101.00\"", "Roubles, \"101.00\""),
    ("active", FLAG, "Действует?", "In force?"),
];

const FIELD: Field = (
    "field",
    TEXT,
    "Где: order_item_list[0].price; пусто — заказ целиком",
    "Where: order_item_list[0].price; empty: the order as a whole",
);
const MESSAGE: Field = (
    "message",
    TEXT,
    "Текст на языке из Accept-Language",
    "A text in the language of Accept-Language",
);
const WARNING: &[Field] = &[FIELD, ("code", Code("WarningCode"), "Код", "Code"), MESSAGE];
const FAULT: &[Field] = &[FIELD, ("code", Code("FaultCode"), "Код", "Code"), MESSAGE];

/// Everything that is answered about an accepted order. In a dry run numbers that nobody gave yet are null.
pub fn order_schemas(dry: bool) -> [(String, Json); 4] {
    let held =
        |fields: &'static [Field]| fields.iter().map(move |field| (field.0, held(field, dry)));
    [
        (
            of_run("AnsweredOrder", dry),
            answered(
                ("Заказ, как он сохранён", "The order as stored"),
                held(ORDER).chain(OrderContent::default().fields().map(content)),
            ),
        ),
        (
            of_run("AnsweredClient", dry),
            answered(("Клиент", "The client"), held(CLIENT)),
        ),
        (
            of_run("AnsweredAddress", dry),
            answered(
                ("Адрес клиента", "A client's address"),
                held(CLIENT_ADDRESS).chain(held(ADDRESS)),
            ),
        ),
        (
            of_run("AnsweredShippingAddress", dry),
            answered(
                (
                    "Куда едет заказ: его собственный адрес, как он был прислан с ним",
                    "Where the order goes: its own address, as it was sent with it",
                ),
                held(SHIPPING_ADDRESS).chain(held(ADDRESS)),
            ),
        ),
    ]
}

fn content((name, value): (&'static str, Shown<'_>)) -> (&'static str, Json) {
    let mut fields = fields::ORDER.fields.iter();
    let about = fields
        .find(|field| field.name == name)
        .map_or(("", ""), |field| field.about);
    let holds = match value {
        Shown::Amount(_) => NUMBER_OR_NULL,
        Shown::Text(_) => TEXT_OR_NULL,
        Shown::Flag(_) => FLAG,
        Shown::Integer(_) => INTEGER,
        Shown::Checkout(_) => A(&["string", "boolean", "null"]),
    };
    (name, held(&(name, holds, about.0, about.1), false))
}

/// What is the same in a dry run.
pub fn shared_schemas() -> [(String, Json); 5] {
    let schemas: [(&str, Both, _); 5] = [
        ("AnsweredItem", ("Строка заказа", "An order's line"), ITEM),
        (
            "BankAccount",
            ("Банковские реквизиты", "The bank account"),
            BANK_ACCOUNT,
        ),
        (
            "Price",
            ("Своя цена клиента", "A client's own price"),
            PRICE,
        ),
        (
            "Warning",
            (
                "Что принято не так, как прислано",
                "What was taken otherwise than sent",
            ),
            WARNING,
        ),
        (
            "Fault",
            ("Почему заказ не принят", "Why the order was not taken"),
            FAULT,
        ),
    ];
    schemas.map(|(name, about, fields)| {
        let fields = fields.iter().map(|field| (field.0, held(field, false)));
        (name.to_owned(), answered(about, fields))
    })
}

fn held(&(_, holds, ru, en): &Field, dry: bool) -> Json {
    let about = (ru, en);
    let any_number = (0, usize::MAX);
    match holds {
        A(types) => value(types, about),
        Ours(types) if dry => value(types, about),
        Ours(types) => value(&types[..1], about),
        MomentOrNull => local_moment(about),
        Word(words) => word(words.split(", "), about),
        OfRun(name) => named(&of_run(name, dry)),
        OfRunOrNull(name) => or_null(&of_run(name, dry), about),
        Code(name) => named(name).with("description", both(about)),
        Texts(each) => list(value(&["string"], each), any_number, about),
        List(name) => list(named(name), any_number, about),
        ListOfRun(name) => list(named(&of_run(name, dry)), any_number, about),
        Prices => map(about, named("Price")),
        Requisites => answered(about, [("bank_account", named("BankAccount"))]),
    }
}

/// A text for people.
pub fn message() -> Json {
    held(&MESSAGE, false)
}
