//! Who changes orders (contract §8).

/// A kind of writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// The site or app.
    Sender,
    /// A person, by hand.
    Operator,
    /// 1C.
    BackOffice,
}

impl Maker {
    pub const ALL: [Self; 3] = [Self::Sender, Self::Operator, Self::BackOffice];

    /// Its name on the wire, in the settings and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Operator => "operator",
            Self::BackOffice => "back_office",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|maker| maker.as_str() == text)
    }
}
