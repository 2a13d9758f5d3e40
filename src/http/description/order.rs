//! The order as it is sent (contract §3) and as it is answered (§6).

use utoipa::openapi::{ComponentsBuilder, schema::Type};

use super::schema::{
    self, Any, Optional, Required, amount, answered, both, checkout, described, flag, integer,
    list, local_moment, local_moment_or_null, map, moment, named, one_of, or_null, phone, sent,
    sent_list, text, value, word,
};
use crate::{
    config::Limits,
    order::{
        content::{OrderContent, Shown},
        fields::{self, Both, Field, Kind},
        model::{ClientType, Status},
    },
};

/// Everything that is sent: the document's own form, with what else is read told in words.
pub fn sent_schemas(components: ComponentsBuilder, limits: &Limits) -> ComponentsBuilder {
    let batch = list(
        Type::Array.into(),
        named(fields::ORDER.name),
        (0, limits.batch_orders),
        ("Пакет заказов", "A batch of orders"),
    );
    let objects = fields::objects().into_iter();
    objects.fold(
        components.schema("Batch", batch),
        |components, (name, about, fields)| {
            let fields = fields
                .iter()
                .map(|field| (field.name, field.is_required, sent_field(field, limits)));
            components.schema(name, sent(about, fields))
        },
    )
}

fn sent_field(field: &Field, limits: &Limits) -> Any {
    let need = if field.is_required {
        Required
    } else {
        Optional
    };
    let about = match also_read(field.kind) {
        Some((ru, en)) => format!("{}. {ru}\n\n{}. {en}", field.about.0, field.about.1),
        None => both(field.about),
    };
    match field.kind {
        Kind::Identity | Kind::Id => text(need, fields::LONGEST_ID, about),
        Kind::OurNumber => integer(need, (1, i64::from(i32::MAX)), about),
        Kind::Text(usual) => text(need, usual, about),
        Kind::Amount(whole_digits) => amount(need, whole_digits, about),
        Kind::Integer(least, most) => integer(need, (least, most), about),
        Kind::Flag => flag(need, about),
        Kind::Checkout => checkout(need, fields::LONGEST_ID, about),
        Kind::Moment => moment(need, about),
        Kind::Phone => phone(need, about),
        Kind::Phones => sent_list(
            need,
            phone(Required, both(("Телефон", "Phone"))),
            limits.client_addresses,
            about,
        ),
        Kind::OneOf(words) => one_of(need, words, about),
        Kind::Object(name) => named(name),
        Kind::List(name) => {
            let most = if name == fields::ORDER_ITEM.name {
                limits.order_items
            } else {
                limits.client_addresses
            };
            sent_list(need, named(name), most, about)
        }
    }
}

/// What is read of a kind besides the document's own form (contract §3).
fn also_read(kind: Kind) -> Option<Both> {
    Some(match kind {
        Kind::Identity => (
            "Читается и целое число, пробелы по краям не в счёт; 0 и нулевой GUID — нет id",
            "A whole number is read, too; blanks around it do not count; 0 and the nil GUID are no id",
        ),
        Kind::Id => (
            "Читается и целое число, пробелы по краям не в счёт",
            "A whole number is read, too; blanks around it do not count",
        ),
        Kind::OurNumber => (
            "Читается и строка; что нашим номером быть не может — не учитывается с предупреждением, 0 и нулевой GUID — нет номера",
            "A string is read, too; what can be no number of ours is ignored with a warning; 0 and the nil GUID are no number",
        ),
        Kind::Text(fields::LONGEST_COMMENT) => ("Читается и число", "A number is read, too"),
        Kind::Text(_) => (
            "Читается и число; что длиннее, хранится до 1000 символов, с предупреждением too_long",
            "A number is read, too; what is longer is kept up to 1,000 characters, with the warning too_long",
        ),
        Kind::Amount(_) => (
            "Читается и строка, с запятой и пробелами между тысячами; больше двух знаков округляется, с предупреждением rounded",
            "A string is read, too, with a comma and with blanks between thousands; more than two decimals are rounded, with the warning rounded",
        ),
        Kind::Integer(..) => (
            "Читаются и \"2\", 2.0, \"2.000\"",
            "\"2\", 2.0 and \"2.000\" are read, too",
        ),
        Kind::Flag => (
            "Читаются и 1, 0, \"true\", \"yes\", \"да\", \"истина\" и обратные им",
            "1, 0, \"true\", \"yes\", \"да\", \"истина\" and their opposites are read, too",
        ),
        Kind::Moment => (
            "Читаются и +0300, +03, без пояса — местное время публикации, 06.11.2019 11:00, 24:00",
            "+0300 and +03 are read, too; without a zone it is the publication's local time; so are 06.11.2019 11:00 and 24:00",
        ),
        Kind::Phone | Kind::Phones => (
            "+79191991919, 89191991919, 79191991919, 9191991919 или + и 8–15 цифр; читается и число, пробелы, дефисы, точки и скобки можно; из нескольких номеров — первый, с предупреждением invalid_format",
            "+79191991919, 89191991919, 79191991919, 9191991919 or + and 8 to 15 digits; a number is read, too; blanks, dashes, dots and brackets may be in it; of several the first counts, with the warning invalid_format",
        ),
        Kind::Checkout | Kind::OneOf(_) | Kind::Object(_) => return None,
        Kind::List(_) => (
            "Читается и объект, все ключи которого — целые числа (так PHP пишет массив с пропусками)",
            "An object whose keys are all whole numbers is read, too (PHP writes an array with holes so)",
        ),
    })
}

/// When the address is null.
const AS_TOTAL: Both = ("null — как у total", "null as of total");

/// Everything that is answered about an order that was taken. In a dry run (`dry`) numbers that nobody gave yet are null.
pub fn answered_schemas(components: ComponentsBuilder, dry: bool) -> ComponentsBuilder {
    use Type::{Boolean, Integer, Null, Number, String};
    let name = |name: &str| super::schema::of_run(name, dry);
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
                    (
                        "total",
                        value(
                            [Number, Null],
                            (
                                "Сумма; null только у отмены, в которой её не было, если публикация открыта всем",
                                "The whole; null only of a cancellation that had none, where anybody may post to the publication",
                            ),
                        ),
                    ),
                    (
                        "created_at",
                        local_moment((
                            "Когда сделан, местное время",
                            "When it was made, local time",
                        )),
                    ),
                    (
                        "shipping_address",
                        or_null(&name("AnsweredShippingAddress"), AS_TOTAL),
                    ),
                    (
                        "shipping_date_from",
                        local_moment_or_null((
                            "Доставить с, местное время; null — как у total",
                            "Deliver from, local time; null as of total",
                        )),
                    ),
                    (
                        "shipping_date_to",
                        local_moment_or_null(("… до", "… until")),
                    ),
                    (
                        "order_item_list",
                        list(
                            Type::Array.into(),
                            named("AnsweredItem"),
                            (0, usize::MAX),
                            (
                                "Строки; пусто — как null у total",
                                "The lines; empty where total is null",
                            ),
                        ),
                    ),
                ]
                .into_iter()
                .chain(OrderContent::default().fields().map(content)),
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
                (
                    "Куда едет заказ: его собственный адрес, как он был прислан с ним",
                    "Where the order goes: its own address, as it was sent with it",
                ),
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

/// A field of an order's optional content, as it is answered.
fn content((name, value): (&'static str, Shown<'_>)) -> (&'static str, Any) {
    use Type::{Boolean, Integer, Null, Number, String};
    let mut fields = fields::ORDER.fields.iter();
    let about = fields
        .find(|field| field.name == name)
        .map_or(("", ""), |field| field.about);
    let schema = match value {
        Shown::Amount(_) => schema::value([Number, Null], about),
        Shown::Text(_) => schema::value([String, Null], about),
        Shown::Flag(_) => schema::value([Boolean], about),
        Shown::Integer(_) => schema::value([Integer], about),
        Shown::Checkout(_) => schema::value([String, Boolean, Null], about),
    };
    (name, schema)
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
