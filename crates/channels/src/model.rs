//! The words of the product, as types. One word per thing, the same in code, SQL, logs and console.

pub mod event;
pub mod fact;
pub mod money;
pub mod notification;
pub mod proof;
pub mod reply;
pub mod request;

pub use event::EventKind;
pub use fact::{Amount, Environment, Fact, Identity, Scope, Series};
pub use jiff::Timestamp;
pub use money::{Currency, Money, MoneyError};
pub use notification::{Concern, Notification, NotificationKey};
pub use proof::{Proof, Proven};
pub use reply::{AckMatch, AppReply, Reply};
pub use request::RawRequest;
