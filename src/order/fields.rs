//! Every field of a sent order, once: its name, whether an order needs it, its kind and bounds, what it is (contract §3).
//!
//! The reader ([`super::wire`]), its faults, the `OpenAPI` description, the fuzz targets and the tests take them from here. How
//! the values of a kind are read stands in `wire/kinds.rs`.

use super::model::{ClientType, Status};

/// A text in Russian and in English.
pub type Both = (&'static str, &'static str);

/// A field of a sent object.
#[derive(Debug)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What stands in it.
    pub kind: Kind,
    /// Whether an order is refused without it. In an entry of an optional list the entry is left out instead.
    pub is_required: bool,
    /// What it is.
    pub about: Both,
}

/// What stands in a field, and its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The sender's id of an order, a client or an address: a text or a whole number. `0` and the nil GUID are none, for every
    /// shop's guests have them.
    Identity,
    /// The sender's id of a product or a line: a text or a whole number.
    Id,
    /// Our number of a record, as the sender remembers it.
    OurNumber,
    /// A text of usually no more characters than this.
    Text(usize),
    /// Roubles from 0, with so many digits before the point and two behind it.
    Amount(u32),
    /// A whole number from the first to the second.
    Integer(i64, i64),
    /// Yes or no.
    Flag,
    /// A text or a boolean, kept and echoed as sent.
    Checkout,
    /// A moment, with a zone or in the publication's own time.
    Moment,
    /// A phone.
    Phone,
    /// Phones, at most as many as a client may list addresses.
    Phones,
    /// One of these words, a list with commas.
    OneOf(&'static str),
    /// The object of that name.
    Object(&'static str),
    /// A list of such objects.
    List(&'static str),
}

/// Characters of an id.
pub const LONGEST_ID: usize = 255;
/// Characters that are kept of a text which should be shorter.
pub const KEPT_TEXT: usize = 1_000;
/// Characters of a comment. Longer ones are cut: the whole comment is answered each time its order comes.
pub const LONGEST_COMMENT: usize = 65_536;

/// Characters of most texts, and of a house, an entrance, a floor and a flat.
const USUAL: usize = 255;
const SHORT: usize = 10;
/// Digits before the point of a sum, and of a price.
const SUM: u32 = 10;
const PRICE: u32 = 8;
const I32_MAX: i64 = i32::MAX as i64;

/// A sent object: its fields in the order in which they are read.
#[derive(Debug)]
pub struct Object<const N: usize> {
    /// Its name in the description.
    pub name: &'static str,
    /// What it is.
    pub about: Both,
    /// Its fields.
    pub fields: [Field; N],
    /// Their names.
    pub names: [&'static str; N],
}

const fn object<const N: usize>(name: &'static str, about: Both, fields: [Field; N]) -> Object<N> {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = fields[at].name;
        at += 1;
    }
    Object {
        name,
        about,
        fields,
        names,
    }
}

const fn required(name: &'static str, kind: Kind, about: Both) -> Field {
    Field {
        name,
        kind,
        is_required: true,
        about,
    }
}

const fn optional(name: &'static str, kind: Kind, about: Both) -> Field {
    Field {
        name,
        kind,
        is_required: false,
        about,
    }
}

/// An order.
pub static ORDER: Object<17> = object(
    "Order",
    (
        "Заказ. Неизвестные поля не читаются; поле, которого нет, оставляет сохранённое значение, null и \"\" стирают его. Отмене известного заказа (status removed) хватает id и status",
        "An order. Unknown fields are ignored; an absent field keeps its stored value, null and \"\" clear it. To cancel a known order (status removed) id and status are enough",
    ),
    [
        required(
            "id",
            Kind::Identity,
            (
                "Ваш id заказа: по нему заказ узнаётся при повторе",
                "Your id of the order: by it a repetition is known",
            ),
        ),
        optional(
            "external_id",
            Kind::OurNumber,
            (
                "Наш номер заказа, если известен",
                "Our number of the order, if you know it",
            ),
        ),
        required(
            "status",
            Kind::OneOf(Status::ALLOWED),
            (
                "Состояние: движется только вперёд",
                "The status: only moves forward",
            ),
        ),
        optional(
            "created_at",
            Kind::Moment,
            (
                "Когда заказ сделан; без него — время первого приёма",
                "When it was made; else when it first came in",
            ),
        ),
        required(
            "total",
            Kind::Amount(SUM),
            (
                "Сумма заказа с доставкой, рубли",
                "The whole, delivery included, roubles",
            ),
        ),
        optional(
            "delivery_cost",
            Kind::Amount(SUM),
            ("Доставка, рубли", "Delivery, roubles"),
        ),
        optional("coins", Kind::Amount(SUM), ("Баллы", "Points")),
        optional(
            "payment_type",
            Kind::Text(USUAL),
            ("Способ оплаты", "How it is paid"),
        ),
        optional("payment_status", Kind::Flag, ("Оплачен?", "Paid?")),
        required(
            "shipping_date_from",
            Kind::Moment,
            ("Доставить с", "Deliver from"),
        ),
        required(
            "shipping_date_to",
            Kind::Moment,
            ("… и до; не раньше начала", "… until; not before the start"),
        ),
        optional(
            "comment",
            Kind::Text(LONGEST_COMMENT),
            ("Комментарий", "Comment"),
        ),
        optional(
            "count_of_returned_bottles",
            Kind::Integer(0, I32_MAX),
            ("Возвращаемая тара, штук", "Empty bottles to take back"),
        ),
        optional(
            "ask_for_checkout",
            Kind::Checkout,
            (
                "bill — нужен счёт, agreement — договор, или true / false; возвращается как прислано",
                "bill wants an invoice, agreement a contract, or true / false; echoed as sent",
            ),
        ),
        required(
            "order_item_list",
            Kind::List("OrderItem"),
            (
                "Строки заказа; заменяют прежние",
                "The lines; they replace the earlier ones",
            ),
        ),
        required("client", Kind::Object("Client"), ("Клиент", "The client")),
        required(
            "shipping_address",
            Kind::Object("ShippingAddress"),
            ("Адрес доставки", "Where the order goes"),
        ),
    ],
);

/// A line of an order.
pub static ORDER_ITEM: Object<7> = object(
    "OrderItem",
    ("Строка заказа", "An order's line"),
    [
        required(
            "product_id",
            Kind::Id,
            ("Ваш id товара", "Your id of the product"),
        ),
        optional(
            "id",
            Kind::Id,
            (
                "Второй id, по которому товар ищется, если не найден по product_id",
                "Another id to look the product up by",
            ),
        ),
        optional("external_id", Kind::OurNumber, ("Хранится", "Kept")),
        optional("name", Kind::Text(USUAL), ("Название", "Name")),
        required(
            "price",
            Kind::Amount(PRICE),
            (
                "Цена за штуку, рубли; 0 можно",
                "Price of one, roubles; may be 0",
            ),
        ),
        required(
            "quantity",
            Kind::Integer(1, I32_MAX),
            ("Количество", "How many"),
        ),
        optional(
            "order_product_id",
            Kind::Integer(i64::MIN, i64::MAX),
            (
                "Ваш номер строки; возвращается как прислан",
                "Your number of the line; echoed",
            ),
        ),
    ],
);

/// A client. A guest, who has neither `id` nor `external_id`, needs `username` and `phone` besides.
pub static CLIENT: Object<11> = object(
    "Client",
    (
        "Клиент. Без id и external_id — гость: нужны username и phone, узнаётся по телефону. С ними — username нужен, пока мы клиента не знаем",
        "The client. Without id and external_id a guest: username and phone are required, known by the phone. With them username is required until we know the client",
    ),
    [
        optional(
            "id",
            Kind::Identity,
            ("Ваш id клиента", "Your id of the client"),
        ),
        optional(
            "external_id",
            Kind::OurNumber,
            (
                "Наш номер клиента, если известен",
                "Our number of the client, if you know it",
            ),
        ),
        optional(
            "account_number",
            Kind::Integer(i64::MIN, i64::MAX),
            ("Лицевой счёт", "Account"),
        ),
        optional(
            "type",
            Kind::OneOf(ClientType::ALLOWED),
            (
                "fiz — физлицо, jur — юрлицо",
                "fiz: a person, jur: a company",
            ),
        ),
        optional("username", Kind::Text(USUAL), ("Имя", "Name")),
        optional("phone", Kind::Phone, ("Телефон", "Phone")),
        optional("phones", Kind::Phones, ("Ещё телефоны", "More phones")),
        optional("email", Kind::Text(USUAL), ("Почта", "E-mail")),
        optional(
            "emai",
            Kind::Text(USUAL),
            (
                "То же: так поле названо в документе",
                "The same, as the document misspells it",
            ),
        ),
        optional(
            "comment",
            Kind::Text(LONGEST_COMMENT),
            ("Комментарий", "Comment"),
        ),
        optional(
            "addresses",
            Kind::List("Address"),
            (
                "Адреса: добавляются и обновляются, не удаляются",
                "Addresses: added and updated, never removed",
            ),
        ),
    ],
);

/// An address of the client's list.
pub static ADDRESS: Object<9> = object(
    "Address",
    ("Адрес клиента", "A client's address"),
    [
        optional(
            "id",
            Kind::Identity,
            ("Ваш id адреса", "Your id of the address"),
        ),
        optional(
            "external_id",
            Kind::OurNumber,
            (
                "Наш номер адреса, если известен",
                "Our number of the address, if you know it",
            ),
        ),
        CITY,
        STREET,
        HOUSE,
        LINE,
        ENTRANCE,
        FLOOR,
        ROOM,
    ],
);

/// Where an order goes.
pub static SHIPPING_ADDRESS: Object<8> = object(
    "ShippingAddress",
    ("Адрес доставки", "Where the order goes"),
    [
        optional(
            "user_address_id",
            Kind::OurNumber,
            (
                "Наш номер одного из адресов этого клиента (id из нашего ответа)",
                "Our number of one of this client's addresses (the id of our answer)",
            ),
        ),
        CITY,
        STREET,
        HOUSE,
        LINE,
        ENTRANCE,
        FLOOR,
        ROOM,
    ],
);

const CITY: Field = required("city", Kind::Text(USUAL), ("Город", "City"));
const STREET: Field = required("street", Kind::Text(USUAL), ("Улица", "Street"));
const HOUSE: Field = required("house", Kind::Text(SHORT), ("Дом", "House"));
const LINE: Field = required(
    "str",
    Kind::Text(USUAL),
    ("Адрес одной строкой", "The address in one line"),
);
const ENTRANCE: Field = optional("entrance", Kind::Text(SHORT), ("Подъезд", "Entrance"));
const FLOOR: Field = optional("floor", Kind::Text(SHORT), ("Этаж", "Floor"));
const ROOM: Field = optional(
    "room",
    Kind::Text(SHORT),
    ("Квартира или офис", "Flat or office"),
);

/// What a 1C pushes of an order (contract §8.3); what else it sends of it is not read.
pub static PUSHED: Object<3> = object(
    "Pushed",
    ("Заказ, каким его знает 1С", "An order as 1C knows it"),
    [
        optional(
            "id",
            Kind::Identity,
            (
                "Номер заказа в 1С или его уникальный идентификатор",
                "1C's number of the order, or its unique id",
            ),
        ),
        required(
            "external_id",
            Kind::Identity,
            (
                "Id заказа у отправителя: по нему заказ находится",
                "The sender's id of the order, by which it is found",
            ),
        ),
        optional(
            "status",
            Kind::OneOf(Status::ALLOWED),
            (
                "Состояние: движется только вперёд",
                "The status: only moves forward",
            ),
        ),
    ],
);

/// What a back office says of an order (contract §8.1).
pub static RESULT: Object<6> = object(
    "Result",
    (
        "Что стало с заказом в учётной системе",
        "What became of an order in the back office",
    ),
    [
        required(
            "number",
            Kind::Integer(1, I32_MAX),
            (
                "Номер заказа: number из ленты",
                "The order's number: number of the feed",
            ),
        ),
        optional(
            "version",
            Kind::Integer(1, I32_MAX),
            (
                "О какой версии заказа это сказано: version из ленты; без неё — о нынешней",
                "Of which version this is said: version of the feed; without it: of the order as it is",
            ),
        ),
        optional(
            "receiver_number",
            Kind::Text(USUAL),
            (
                "Номер документа в учётной системе; null и \"\" оставляют прежний",
                "The document's number in the back office; null and \"\" keep the one before",
            ),
        ),
        optional(
            "receiver_uid",
            Kind::Text(USUAL),
            (
                "Уникальный идентификатор документа; null и \"\" оставляют прежний",
                "The document's unique id; null and \"\" keep the one before",
            ),
        ),
        optional(
            "status",
            Kind::OneOf(Status::ALLOWED),
            (
                "Состояние: движется только вперёд",
                "The status: only moves forward",
            ),
        ),
        optional(
            "error",
            Kind::Text(KEPT_TEXT),
            (
                "Почему заказ не взят; без неё или null — взят",
                "Why the order was not taken; without it, or null: it was",
            ),
        ),
    ],
);

/// Every object of a sent order: its name, what it is, its fields.
#[must_use]
pub fn objects() -> [(&'static str, Both, &'static [Field]); 5] {
    [
        (ORDER.name, ORDER.about, &ORDER.fields),
        (ORDER_ITEM.name, ORDER_ITEM.about, &ORDER_ITEM.fields),
        (CLIENT.name, CLIENT.about, &CLIENT.fields),
        (ADDRESS.name, ADDRESS.about, &ADDRESS.fields),
        (
            SHIPPING_ADDRESS.name,
            SHIPPING_ADDRESS.about,
            &SHIPPING_ADDRESS.fields,
        ),
    ]
}

/// What stands at the path of a fault: of `order_item_list[0].price` an amount. `None`: no field of an order has that path.
#[must_use]
pub fn kind_at(path: &str) -> Option<Kind> {
    let mut kind = Kind::Object(ORDER.name);
    for step in path.split('.') {
        let Kind::Object(object) = kind else {
            return None;
        };
        let (name, place) = match step.split_once('[') {
            Some((name, place)) => (name, Some(place.strip_suffix(']')?)),
            None => (step, None),
        };
        let mut known = objects().into_iter();
        let (.., fields) = known.find(|(known, ..)| *known == object)?;
        let field = fields.iter().find(|field| field.name == name)?;
        kind = match (field.kind, place) {
            (kind, None) => kind,
            (_, Some(place)) if place.parse::<usize>().is_err() => return None,
            (Kind::List(entry), _) => Kind::Object(entry),
            (Kind::Phones, _) => Kind::Phone,
            _ => return None,
        };
    }
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_fault_says_what_stands_there() {
        for (path, kind) in [
            ("total", Kind::Amount(SUM)),
            ("status", Kind::OneOf(Status::ALLOWED)),
            ("client", Kind::Object("Client")),
            ("client.phone", Kind::Phone),
            ("client.phones", Kind::Phones),
            ("client.phones[2]", Kind::Phone),
            ("client.addresses[1].house", Kind::Text(SHORT)),
            ("shipping_address.city", Kind::Text(USUAL)),
            ("order_item_list", Kind::List("OrderItem")),
            ("order_item_list[0]", Kind::Object("OrderItem")),
            ("order_item_list[12].quantity", Kind::Integer(1, I32_MAX)),
        ] {
            assert_eq!(kind_at(path), Some(kind), "{path}");
        }
        for path in [
            "",
            "unknown",
            "total.x",
            "total[0]",
            "client.unknown",
            "order_item_list.price",
            "order_item_list[].price",
            "order_item_list[x].price",
            "order_item_list[0.price",
            "client.phones[0].x",
            ".",
            "[0]",
        ] {
            assert_eq!(kind_at(path), None, "{path}");
        }
    }
}
