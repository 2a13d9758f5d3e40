//! What somebody wrote on the page of a kept order while his session ended: the login takes it along, in its form and nowhere else, and
//! then it is before him again. Nothing is sent by that.

use super::{
    escape::spelled_out,
    kept_fields::{SET, WAS},
    kept_order::LONGEST,
};

/// What [`super::kept_send`] does with it: it shows it.
pub(super) const KEEP: &str = "keep";

/// The name of who wrote it. Whoever else logs in does not get it: he would send it in his own name.
const WRITER: &str = "writer";
const ORDER: &str = "order";
/// Bytes of what is carried: a text and its fields. A stranger, too, gets back what he sends.
const MOST: usize = LONGEST + 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Carried {
    pub writer: String,
    /// Of the form, names and values.
    pub fields: Vec<(String, String)>,
}

impl Carried {
    /// Of a form, the page's or the login's, what is carried; the action is not.
    pub fn of(form: Vec<(String, String)>) -> Self {
        let mut carried = Self::default();
        for (name, value) in form {
            if name == WRITER {
                carried.writer = value;
            } else if name == ORDER {
                // As it stands in the text's field, so that it comes back as it was.
                carried
                    .fields
                    .push((name, spelled_out(&value).into_owned()));
            } else if name.starts_with(SET) || name.starts_with(WAS) {
                carried.fields.push((name, value));
            }
        }
        let bytes = carried.fields.iter();
        let bytes = bytes.map(|(name, value)| name.len() + value.len());
        if bytes.sum::<usize>() > MOST {
            return Self::default();
        }
        carried
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// Whether a path is the page of a kept order's.
pub(super) fn is_kept_order(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts[..], ["", "console", "p", _, "kept", _, _])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_fields_are_carried_and_no_action_or_password() {
        let form = [
            ("order", "{\"a\":\"\u{202e}\"}"),
            ("action", "send"),
            ("over", "1.2.3"),
            ("login", "Анна"),
            ("password", "secret"),
            ("next", "/console"),
            ("writer", "Анна"),
            ("set:total", "7"),
            ("was:total", ""),
            ("set", "x"),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let carried = Carried::of(form.map(owned).into());
        let due = [
            ("order", "{\"a\":\"\\u202e\"}"),
            ("set:total", "7"),
            ("was:total", ""),
        ];
        assert_eq!(carried.fields, due.map(owned));
        assert_eq!(carried.writer, "Анна");
        assert!(Carried::of(Vec::new()).is_empty());
        let long = ("order", &*"x".repeat(MOST));
        assert!(Carried::of(vec![owned(long)]).is_empty());
    }

    #[test]
    fn it_comes_back_to_the_page_of_a_kept_order_and_to_no_other() {
        for (path, is_one) in [
            ("/console/p/shop/kept/0190b5a0/3", true),
            ("/console/p/shop/kept/0190b5a0/3/send", false),
            ("/console/p/shop/rejected", false),
            ("/console/p/shop/kept/0190b5a0", false),
            ("console/p/shop/kept/0190b5a0/3", false),
            ("//evil.example/p/shop/kept/a/3", false),
            ("https://evil.example/console/p/a/kept/b/3", false),
        ] {
            assert_eq!(is_kept_order(path), is_one, "{path}");
        }
    }
}
