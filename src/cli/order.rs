//! `aqua-orders order show ID` and `aqua-orders order set-status ID STATUS`

use std::fmt::{self, Write as _};

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum, builder::PossibleValue};

use super::{CommandError, because, publication, text::clean, with_store};
use crate::{
    config::{Config, Publication},
    order::{
        datetime,
        fields::ORDER,
        model::{Address, Client, Order, Status},
        phone, reply,
        wire::is_blank,
        zone::Zone,
    },
    store::{self, Store, feed::Receiver, operator::Found},
};

/// How often the order may be written by others while we set its status.
const ATTEMPTS: u32 = 10;

/// Looks at one order, or moves its status on.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Shows an order with its lines, its client and its address
    Show {
        /// Which order
        #[command(flatten)]
        which: Which,
    },
    /// Moves an order's status on: new → approved → completed, or to removed from the first two
    SetStatus {
        /// Which order
        #[command(flatten)]
        which: Which,
        /// The new status
        status: Status,
    },
}

/// Which order.
#[derive(Debug, Clone, Args)]
pub(super) struct Which {
    /// The sender's id of the order, or our number
    pub id: String,
    /// A publication's name or alias; may be left out where the configuration has only one
    #[arg(long, value_name = "NAME")]
    pub publication: Option<String>,
    /// What ID is, where it could be both
    #[arg(long)]
    pub by: Option<By>,
}

/// What an id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// The sender's id
    SenderId,
    /// Our number
    Number,
}

impl ValueEnum for Status {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()).help(match self {
            Self::New => "Not looked at yet",
            Self::Approved => "A courier is assigned",
            Self::Completed => "Delivered; final",
            Self::Removed => "Cancelled; final",
        }))
    }
}

pub(super) async fn run(command: &Command, config: &Config) -> Result<(), CommandError> {
    let (Command::Show { which } | Command::SetStatus { which, .. }) = command;
    let publication = publication(config, which.publication.as_deref())?;
    with_store(config, async |store| match command {
        Command::Show { which } => show(which, publication, &store).await,
        Command::SetStatus { which, status } => {
            set_status(which, *status, publication, &store).await
        }
    })
    .await
}

/// The database did not answer.
fn away(error: store::Error) -> CommandError {
    match error {
        store::Error::Unsure(_) => because(
            "the connection broke, look with `order show` whether it is done",
            &error,
        ),
        error => because("nothing is done", &error),
    }
}

/// The order that is meant, where there is one.
pub(super) async fn find_any(
    which: &Which,
    publication: &Publication,
    store: &Store,
) -> Result<Option<Found>, CommandError> {
    // As ids are compared: without what stands around them.
    let id = which.id.trim_matches(is_blank);
    let sender_id = (which.by != Some(By::Number)).then_some(id);
    let number = id.parse().ok().filter(|_| which.by != Some(By::SenderId));
    let mut found = store
        .find_orders(&publication.name, sender_id, number)
        .await
        .map_err(away)?;
    match (found.pop(), found.pop()) {
        (found, None) | (None, found) => Ok(found),
        (Some(one), Some(other)) => {
            let (by_number, by_id) = if one.sender_id == id {
                (other, one)
            } else {
                (one, other)
            };
            Err(format!(
                "{id} is the sender's id of order number {} and the number of the order with the sender's id {}: \
                 say which with --by sender-id or --by number",
                by_id.number,
                clean(&by_number.sender_id),
                id = clean(&which.id),
            ))
        }
    }
}

async fn find(
    which: &Which,
    publication: &Publication,
    store: &Store,
) -> Result<Found, CommandError> {
    find_any(which, publication, store)
        .await?
        .ok_or_else(|| format!("{} has no order {}", publication.name, clean(&which.id)))
}

async fn set_status(
    which: &Which,
    status: Status,
    publication: &Publication,
    store: &Store,
) -> Result<String, CommandError> {
    for _ in 0..ATTEMPTS {
        let found = find(which, publication, store).await?;
        let name = format!("order {} ({})", found.number, clean(&found.sender_id));
        let (from, to) = (found.status.as_str(), status.as_str());
        if found.status == status {
            return Ok(format!("{name} is {to} already\n"));
        }
        if !found.status.may_become(status) {
            return Err(match found.status {
                Status::Completed | Status::Removed => {
                    format!("{name} stays {from}: that is final")
                }
                Status::New | Status::Approved => {
                    format!("{name} stays {from}: a status only moves forward, never back to {to}")
                }
            });
        }
        let set = (store.set_status(&publication.name, &found, status, None)).await;
        if set.map_err(away)? {
            return Ok(format!("{name}: {from} → {to}\n"));
        }
    }
    Err("the order is being written all the time: nothing is changed, try again".into())
}

async fn show(
    which: &Which,
    publication: &Publication,
    store: &Store,
) -> Result<String, CommandError> {
    for _ in 0..ATTEMPTS {
        let found = find(which, publication, store).await?;
        let read = store.order_with_client(&publication.name, &found).await;
        if let Some((order, client)) = read.map_err(away)? {
            let receiver = store.receiver_of(&publication.name, order.number).await;
            let sheet = Sheet {
                order: &order,
                client: &client,
                receiver: receiver.map_err(away)?,
                publication,
            };
            return Ok(sheet.to_string());
        }
    }
    Err("the order is being written all the time: try again".into())
}

/// An order as an operator reads it: the contract's names, the publication's time.
struct Sheet<'a> {
    order: &'a Order,
    client: &'a Client,
    /// What the back office said of it, and when.
    receiver: Option<(Receiver, DateTime<Utc>)>,
    publication: &'a Publication,
}

/// What the back office made of the order.
fn receiver(
    f: &mut fmt::Formatter<'_>,
    (receiver, said_at): &(Receiver, DateTime<Utc>),
    zone: Zone,
) -> fmt::Result {
    writeln!(f, "\nin 1C")?;
    line(f, "number", shown(receiver.number.as_ref()))?;
    line(f, "uid", shown(receiver.uid.as_ref()))?;
    let version = receiver.version;
    let of = format!("version {version}, {}", Moment(*said_at, zone));
    line(f, "said of", Some(&of))?;
    match &receiver.error {
        Some(error) => writeln!(f, "  not taken by 1C: {}", clean(error)),
        None => Ok(()),
    }
}

/// One name and its value; nothing there is a dash.
fn line(f: &mut fmt::Formatter<'_>, name: &str, value: Option<&dyn fmt::Display>) -> fmt::Result {
    match value {
        Some(value) => writeln!(f, "  {name:26}{}", clean(&value.to_string())),
        None => writeln!(f, "  {name:26}–"),
    }
}

fn shown<T: fmt::Display>(value: Option<&T>) -> Option<&dyn fmt::Display> {
    value.map(|value| value as &dyn fmt::Display)
}

struct Moment(DateTime<Utc>, Zone);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", datetime::print(self.0, self.1), self.1)
    }
}

fn address_line(f: &mut fmt::Formatter<'_>, address: &Address) -> fmt::Result {
    let name = reply::address_name(&address.content, address.district_name.as_deref());
    write!(f, "  {:<12}{}", address.number, clean(&name))?;
    if let Some(id) = &address.sender_id {
        write!(f, "; sender's id {}", clean(id))?;
    }
    writeln!(f, "\n  {:12}{}", "", clean(&address.content.str))
}

/// The order's own copy, and where it differs what the client's address of that number says now.
fn shipping_address(f: &mut fmt::Formatter<'_>, order: &Order, client: &Client) -> fmt::Result {
    let content = &order.shipping_address;
    let address = order
        .address_number
        .and_then(|number| client.address(number));
    let number = order.address_number.map_or("–".into(), |n| n.to_string());
    let district = address.and_then(|address| address.district_name.as_deref());
    let name = reply::address_name(content, district);
    writeln!(f, "  {number:<12}{}", clean(&name))?;
    writeln!(f, "  {:12}{}", "", clean(&content.str))?;
    match address {
        None => writeln!(f, "  {:12}the order's own: the client's list is full", ""),
        Some(address) if address.content != *content => {
            let now = reply::address_name(&address.content, district);
            writeln!(f, "  {:12}the client's address is now: {}", "", clean(&now))
        }
        Some(_) => Ok(()),
    }
}

impl fmt::Display for Sheet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            order,
            client,
            receiver: said,
            publication,
        } = self;
        let zone = publication.rules.timezone;
        let region = publication.rules.phone_region;
        writeln!(f, "order {} of {}", order.number, publication.name)?;
        line(f, "id", Some(&order.sender_id))?;
        line(f, "uuid", Some(&order.uuid))?;
        let content = order.content.fields();
        for name in ORDER.names {
            match name {
                "status" => line(f, name, Some(&order.status.as_str()))?,
                "created_at" => line(f, name, Some(&Moment(order.created_at, zone)))?,
                "total" => line(f, name, Some(&order.total.normalize()))?,
                "shipping_date_from" => {
                    line(f, name, Some(&Moment(order.shipping_date_from, zone)))?;
                }
                "shipping_date_to" => line(f, name, Some(&Moment(order.shipping_date_to, zone)))?,
                name => {
                    if let Some((_, value)) = content.iter().find(|(field, _)| *field == name) {
                        line(f, name, shown(value.text().as_ref()))?;
                    }
                }
            }
        }

        writeln!(f, "\norder_item_list")?;
        for (place, item) in order.items.iter().enumerate() {
            let sum = format!("{} × {}", item.quantity, item.price.normalize());
            let name = item.name.as_deref().unwrap_or("–");
            write!(f, "  {:<4}{sum:20}{}", place + 1, clean(name))?;
            match item.product_number {
                Some(number) => write!(f, "; product {number}")?,
                None => write!(f, "; product not found")?,
            }
            write!(f, "; product_id {}", clean(&item.product_id))?;
            if let Some(id) = &item.sender_id {
                write!(f, "; id {}", clean(id))?;
            }
            if let Some(id) = item.external_id {
                write!(f, "; external_id {id}")?;
            }
            if let Some(id) = item.order_product_id {
                write!(f, "; order_product_id {id}")?;
            }
            writeln!(f)?;
        }

        writeln!(f, "\nshipping_address")?;
        shipping_address(f, order, client)?;

        if let Some(said) = said {
            receiver(f, said, zone)?;
        }

        let kind = match (&client.guest_phone, &client.sender_id) {
            (Some(_), _) => ", a guest",
            (None, Some(_)) => "",
            (None, None) => ", without a sender's id yet",
        };
        writeln!(f, "\nclient {}{kind}", client.number)?;
        line(f, "id", shown(client.sender_id.as_ref()))?;
        line(f, "username", Some(&client.username))?;
        line(f, "type", Some(&client.kind.as_str()))?;
        let phones: Vec<&str> = client
            .phone
            .iter()
            .chain(
                client
                    .phones
                    .iter()
                    .filter(|other| Some(*other) != client.phone.as_ref()),
            )
            .map(|stored| phone::answered(stored, region))
            .collect();
        line(
            f,
            "phones",
            shown((!phones.is_empty()).then(|| phones.join(", ")).as_ref()),
        )?;
        line(f, "email", shown(client.email.as_ref()))?;
        line(f, "comment", shown(client.comment.as_ref()))?;
        line(f, "account_number", shown(client.account_number.as_ref()))?;
        if let Some(account) = &client.bank_account {
            for (name, value) in [
                ("inn", &account.inn),
                ("kpp", &account.kpp),
                ("bank account_number", &account.account_number),
                ("correspondent_account", &account.correspondent_account),
                ("bik", &account.bik),
                ("bank_name", &account.bank_name),
            ] {
                line(f, name, shown(value.as_ref()))?;
            }
        }
        for address in &client.legal_address {
            line(f, "legal_address", Some(address))?;
        }
        line(f, "coins_amount", Some(&client.coins_amount.normalize()))?;
        let loyalty = client
            .loyalty_system_is_active
            .unwrap_or(publication.rules.loyalty_system_is_active);
        line(f, "loyalty_system_is_active", Some(&loyalty))?;
        for price in &client.prices {
            let mut text = format!("product {}: {:.2}", price.product_number, price.price);
            if !price.active {
                text.write_str(" (not active)")?;
            }
            line(f, "price", Some(&text))?;
        }
        writeln!(f, "\naddresses")?;
        client
            .addresses
            .iter()
            .try_for_each(|address| address_line(f, address))
    }
}
