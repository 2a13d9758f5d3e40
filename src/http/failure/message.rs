//! What each failure says, in both languages.

use std::borrow::Cow;

use super::{Failure, Methods, Parameter, looks_like::LooksLike};
use crate::exchange::feed::WAITING;

/// In Russian and in English.
type Texts = (Cow<'static, str>, Cow<'static, str>);

impl Failure {
    pub(super) fn texts(self) -> Texts {
        match self {
            Self::MalformedJson {
                line,
                column,
                cut_short,
                looks_like,
            } => {
                let (ru, en) = looks_like.hint();
                if cut_short {
                    filled(
                        format!(
                            "Тело запроса — не JSON: текст обрывается (строка {line}, столбец {column}).{ru}"
                        ),
                        format!(
                            "The body is not JSON: the text breaks off at line {line}, column {column}.{en}"
                        ),
                    )
                } else {
                    filled(
                        format!(
                            "Тело запроса — не JSON: ошибка в строке {line}, столбце {column}.{ru}"
                        ),
                        format!("The body is not JSON: error at line {line}, column {column}.{en}"),
                    )
                }
            }
            Self::BodyCutShort => fixed(
                "Тело запроса пришло не целиком.",
                "The body did not arrive whole.",
            ),
            Self::NotAnArray(LooksLike::Object) => fixed(
                "Ожидается JSON-массив заказов, а пришёл один объект: и один заказ берут в квадратные скобки, [{…}].",
                "A JSON array of orders is expected, and one object came: a single order goes into brackets, too, [{…}].",
            ),
            Self::NotAnArray(LooksLike::ListUnder(key)) => filled(
                format!(
                    "Ожидается JSON-массив заказов, а пришёл объект, и список в нём под ключом «{key}»: пришлите сам список."
                ),
                format!(
                    "A JSON array of orders is expected, and an object came that has the list under the key \"{key}\": send the list itself."
                ),
            ),
            Self::NotAnArray(LooksLike::JsonInText) => fixed(
                "Ожидается JSON-массив заказов, а пришла строка, в которой JSON: он закодирован дважды.",
                "A JSON array of orders is expected, and a string came that has JSON in it: it was encoded twice.",
            ),
            Self::NotAnArray(_) => fixed(
                "Ожидается JSON-массив заказов.",
                "A JSON array of orders is expected.",
            ),
            Self::UnknownContentEncoding => fixed(
                "Неизвестное сжатие в Content-Encoding: понимаем gzip, deflate, br и zstd, по одному на запрос.",
                "Unknown compression in Content-Encoding: gzip, deflate, br and zstd are understood, one per request.",
            ),
            Self::CorruptCompression => fixed(
                "Тело запроса не распаковывается: оно повреждено или сжато не так, как сказано в Content-Encoding.",
                "The body cannot be decompressed: it is damaged, or not compressed as Content-Encoding says.",
            ),
            Self::UnknownCharset(name) => filled(
                format!("Кодировка «{name}» в charset неизвестна, а тело запроса — не UTF-8."),
                format!("The charset \"{name}\" is unknown, and the body is no UTF-8."),
            ),
            Self::NotInCharset(charset, looks_like) => {
                let (ru, en) = looks_like.hint();
                filled(
                    format!(
                        "Тело запроса — не текст в кодировке {charset}: укажите верный charset в Content-Type или пришлите UTF-8.{ru}"
                    ),
                    format!(
                        "The body is no text in {charset}: name the right charset in Content-Type or send UTF-8.{en}"
                    ),
                )
            }
            Self::InvalidParameter(parameter) => parameter.texts(),
            Self::Unauthorized => fixed(
                "Нужны логин и пароль публикации.",
                "The publication's login and password are needed.",
            ),
            Self::DryRunOnly => fixed(
                "По этому адресу заказы только проверяются: добавьте ?dry_run=true.",
                "Orders are only checked at this address: add ?dry_run=true.",
            ),
            Self::NotFound => fixed(
                "По этому адресу ничего нет: заказы принимаются на /<публикация>/hs/AquaDeliveri/getOrdersURL; для 1С рядом с ним есть v1/orders, v1/orders/results, v1/products, v1/districts и v1/clients.",
                "Nothing is at this address: orders are taken at /<publication>/hs/AquaDeliveri/getOrdersURL; for 1C there are v1/orders, v1/orders/results, v1/products, v1/districts and v1/clients next to it.",
            ),
            Self::MethodNotAllowed(Methods::Orders) => fixed(
                "Сервис работает: по этому адресу он ждёт POST с JSON-массивом заказов.",
                "The service works: at this address it waits for POST with a JSON array of orders.",
            ),
            Self::MethodNotAllowed(methods) => filled(
                format!(
                    "Сервис работает: по этому адресу он ждёт {}.",
                    methods.as_str()
                ),
                format!(
                    "The service works: at this address it waits for {}.",
                    methods.as_str()
                ),
            ),
            Self::RequestTimeout => fixed(
                "Тело запроса не пришло вовремя.",
                "The body did not arrive in time.",
            ),
            Self::CursorLost => fixed(
                "Курсор из прошлого, которого в базе больше нет (её восстановили из копии), или чужой: продолжите с since=<дата и время>.",
                "The cursor is of a past that the database does not have any more (it was restored), or not yours: go on with since=<date and time>.",
            ),
            Self::BodyTooLarge(limit) => filled(
                format!("Тело запроса больше допустимого: предел {limit} байт после распаковки."),
                format!("The body is too large: the limit is {limit} bytes after decompression."),
            ),
            Self::BatchTooLarge(limit) => filled(
                format!("Заказов в пакете больше допустимого: предел {limit}."),
                format!("Too many orders in the batch: the limit is {limit}."),
            ),
            Self::AnswerTooLarge(limit) => filled(
                format!(
                    "Ответ на пакет занял бы больше {limit} байт, из пакета ничего не сохранено: отправьте меньше заказов сразу."
                ),
                format!(
                    "The answer to the batch would take more than {limit} bytes, nothing of it is stored: send fewer orders at a time."
                ),
            ),
            Self::Internal => fixed(
                "Внутренняя ошибка сервиса.",
                "Internal error of the service.",
            ),
            Self::Overloaded => fixed(
                "Сервис перегружен: повторите запрос позже.",
                "The service is overloaded: try again later.",
            ),
            Self::TooManyWait => filled(
                format!(
                    "Под этим логином уже ждут {WAITING} запроса, больше нельзя: дождитесь ответа или спросите без wait."
                ),
                format!(
                    "{WAITING} requests of this login wait already, and no more may: wait for an answer, or ask without wait."
                ),
            ),
            Self::Importing => fixed(
                "Загружается другой файл: повторите позже.",
                "Another file is being imported: try again later.",
            ),
            Self::StorageUnavailable => fixed(
                "Хранилище недоступно, из пакета ничего не сохранено: повторите запрос позже.",
                "The storage is unavailable and nothing of the batch is stored: try again later.",
            ),
        }
    }
}

impl Parameter {
    fn texts(self) -> Texts {
        match self {
            Self::DryRun => fixed(
                "Параметр dry_run: true (только проверить) или false.",
                "The parameter dry_run is true (only check) or false.",
            ),
            Self::SkipBad => fixed(
                "Параметр skip_bad: true (пропустить негодные строки) или false.",
                "The parameter skip_bad is true (leave bad lines out) or false.",
            ),
            Self::After => fixed(
                "Параметр after: курсор из прошлого ответа, без изменений; пустой — с самого начала.",
                "The parameter after is the cursor of an earlier answer, unchanged; empty: from the beginning.",
            ),
            Self::Since => fixed(
                "Параметр since: дата и время, например 2026-11-24T14:00:00+03:00.",
                "The parameter since is a date and time, as in 2026-11-24T14:00:00+03:00.",
            ),
            Self::AfterAndSince => fixed(
                "Параметры after и since вместе не имеют смысла: нужен один из них.",
                "The parameters after and since make no sense together: one of them is needed.",
            ),
            Self::Limit => fixed(
                "Параметр limit: целое число от 1 до 500.",
                "The parameter limit is a whole number from 1 to 500.",
            ),
            Self::Wait => fixed(
                "Параметр wait: сколько секунд ждать, целое число от 0 до 30.",
                "The parameter wait is the seconds to wait, a whole number from 0 to 30.",
            ),
            Self::Twice(name) => filled(
                format!("Параметр {name} указан дважды, и по-разному."),
                format!("The parameter {name} is there twice and says two things."),
            ),
            Self::Unknown(name) => filled(
                format!("Параметра «{name}» здесь нет."),
                format!("There is no parameter \"{name}\" here."),
            ),
        }
    }
}

fn fixed(ru: &'static str, en: &'static str) -> Texts {
    (ru.into(), en.into())
}

fn filled(ru: String, en: String) -> Texts {
    (ru.into(), en.into())
}
