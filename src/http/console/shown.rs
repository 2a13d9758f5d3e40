//! Amounts, moments and phones as people read them.

use chrono::{DateTime, Datelike, FixedOffset, TimeDelta, Timelike, Utc};
use rust_decimal::Decimal;

use super::texts::{Texts, texts};
use crate::order::{fault::Language, zone::Zone};

/// Between groups of digits, and before the sign of the currency.
const NO_BREAK: char = '\u{a0}';

/// `1 250,50 ₽`, in English `1,250.50 ₽`.
pub(super) fn money(amount: Decimal, language: Language) -> String {
    let text = format!("{amount:.2}");
    let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
    let point = match language {
        Language::Ru => ',',
        Language::En => '.',
    };
    let mut shown = grouped(whole, language);
    if cents != "00" {
        shown.push(point);
        shown.push_str(cents);
    }
    shown.push(NO_BREAK);
    shown.push('₽');
    shown
}

/// `1 250`, in English `1,250`.
pub(super) fn count(count: i64, language: Language) -> String {
    grouped(&count.to_string(), language)
}

fn grouped(digits: &str, language: Language) -> String {
    let group = match language {
        Language::Ru => NO_BREAK,
        Language::En => ',',
    };
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(group);
        }
        shown.push(digit);
    }
    shown
}

/// `3 мин назад`
pub(super) fn ago(ago: TimeDelta, t: &Texts) -> String {
    if ago < TimeDelta::minutes(1) {
        return t.just_now.to_owned();
    }
    t.ago.replace("{}", &lasting(ago, t))
}

/// `3 мин`
pub(super) fn lasting(lasting: TimeDelta, t: &Texts) -> String {
    let (text, number) = if lasting < TimeDelta::hours(2) {
        (t.minutes, lasting.num_minutes())
    } else if lasting < TimeDelta::days(2) {
        (t.hours, lasting.num_hours())
    } else {
        (t.days, lasting.num_days())
    };
    text.replace("{}", &number.max(0).to_string())
}

/// `1,4 мс`, `12 с`, `5 мин`
pub(super) fn took(seconds: f64, language: Language) -> String {
    let t = texts(language);
    let (text, number) = if seconds < 1.0 {
        (t.milliseconds_long, seconds * 1000.0)
    } else if seconds < 120.0 {
        (t.seconds, seconds)
    } else {
        let lasted = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
        return lasting(TimeDelta::from_std(lasted).unwrap_or(TimeDelta::MAX), t);
    };
    let digits = usize::from(number < 10.0);
    let number = format!("{number:.digits$}");
    text.replace(
        "{}",
        &match language {
            Language::Ru => number.replace('.', ","),
            Language::En => number,
        },
    )
}

/// `26.11.2026 14:05:59`
pub(super) fn exact_moment(moment: DateTime<Utc>, zone: Zone) -> String {
    let local = zone.local(moment);
    local.format("%d.%m.%Y %H:%M:%S").to_string()
}

/// `26.11.2026 14:05`
pub(super) fn moment(moment: DateTime<Utc>, zone: Zone) -> String {
    let local = zone.local(moment);
    local.format("%d.%m.%Y %H:%M").to_string()
}

/// `26.11.2026, 09:00–12:00`
pub(super) fn window(from: DateTime<Utc>, to: DateTime<Utc>, zone: Zone) -> String {
    let (begin, end) = (zone.local(from), zone.local(to));
    if begin.num_days_from_ce() != end.num_days_from_ce() {
        return format!("{} – {}", moment(from, zone), moment(to, zone));
    }
    let day = begin.format("%d.%m.%Y");
    let is_midnight = |at: &DateTime<FixedOffset>| at.hour() == 0 && at.minute() == 0;
    if is_midnight(&begin) && is_midnight(&end) {
        return day.to_string();
    }
    format!("{day}, {}–{}", begin.format("%H:%M"), end.format("%H:%M"))
}

/// `+7 908 328-08-32`; others as they are stored.
pub(super) fn phone(e164: &str) -> String {
    let digits = e164.strip_prefix("+7").filter(|rest| rest.len() == 10);
    let digits = digits.filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    digits.map_or_else(
        || e164.to_owned(),
        |rest| {
            let (code, three, two, last) = (&rest[..3], &rest[3..6], &rest[6..8], &rest[8..]);
            format!("+7{NO_BREAK}{code}{NO_BREAK}{three}-{two}-{last}")
        },
    )
}

/// A name or an address; they are empty only where they were erased.
pub(super) fn or_erased(text: String, t: &Texts) -> String {
    if text.is_empty() {
        t.erased.to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a moment")
    }

    #[test]
    fn amounts_have_groups_and_kopecks_where_there_are_some() {
        for (amount, ru, en) in [
            ("710", "710 ₽", "710 ₽"),
            ("1250.50", "1 250,50 ₽", "1,250.50 ₽"),
            ("9999999999.99", "9 999 999 999,99 ₽", "9,999,999,999.99 ₽"),
            ("0", "0 ₽", "0 ₽"),
        ] {
            let amount: Decimal = amount.parse().expect("an amount");
            let plain = |text: String| text.replace(NO_BREAK, " ");
            assert_eq!(plain(money(amount, Language::Ru)), ru);
            assert_eq!(plain(money(amount, Language::En)), en);
        }
    }

    #[test]
    fn how_long_ago_is_told_in_one_unit() {
        for (seconds, ru, en) in [
            (-5, "только что", "just now"),
            (59, "только что", "just now"),
            (60, "1 мин назад", "1 min ago"),
            (7199, "119 мин назад", "119 min ago"),
            (7200, "2 ч назад", "2 h ago"),
            (48 * 3600, "2 дн. назад", "2 d ago"),
        ] {
            for (language, due) in [(Language::Ru, ru), (Language::En, en)] {
                let t = super::super::texts::texts(language);
                assert_eq!(ago(TimeDelta::seconds(seconds), t), due);
            }
        }
        assert_eq!(count(1_234_567, Language::En), "1,234,567");
    }

    #[test]
    fn how_long_something_took_is_told_in_a_unit_that_fits() {
        for (seconds, ru, en) in [
            (0.001_44, "1,4 мс", "1.4 ms"),
            (0.25, "250 мс", "250 ms"),
            (3.21, "3,2 с", "3.2 s"),
            (119.0, "119 с", "119 s"),
            (300.0, "5 мин", "5 min"),
            (3.0 * 86_400.0, "3 дн.", "3 d"),
        ] {
            assert_eq!(took(seconds, Language::Ru), ru);
            assert_eq!(took(seconds, Language::En), en);
        }
    }

    #[test]
    fn moments_are_the_publications() {
        let zone = crate::order::zone::zone("Europe/Moscow");
        assert_eq!(moment(at("2026-11-26T11:05:59Z"), zone), "26.11.2026 14:05");
        for (from, to, shown) in [
            (
                "2026-11-26T06:00:00Z",
                "2026-11-26T09:00:00Z",
                "26.11.2026, 09:00–12:00",
            ),
            ("2026-11-25T21:00:00Z", "2026-11-25T21:00:00Z", "26.11.2026"),
            (
                "2026-11-26T06:00:00Z",
                "2026-11-27T06:00:00Z",
                "26.11.2026 09:00 – 27.11.2026 09:00",
            ),
        ] {
            assert_eq!(window(at(from), at(to), zone), shown);
        }
    }

    #[test]
    fn a_russian_phone_is_grouped() {
        assert_eq!(
            phone("+79083280832").replace(NO_BREAK, " "),
            "+7 908 328-08-32"
        );
        assert_eq!(phone("+4915112345678"), "+4915112345678");
        assert_eq!(phone("+7908328083я"), "+7908328083я");
    }
}
