//! Deposits and lifts, put together from the quantities of an item.
//!
//! A personal id becomes a pseudonym here, on the way in. Without the key it is left out and counted: it
//! reaches no sample, and so no record, log or message.

use serde::Deserialize;
use serde_json::Value;

use super::Name;
use crate::decode::Reason;
use crate::sample::Quantity;
use crate::units::Grams;
use crate::waste::{Deposit, Lift, PersonKey, Tag, Violation, WasteKind};

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Custody {
    deposit: Option<Deposit>,
    tag: Option<Tag>,
    gross: Option<Grams>,
    tare: Option<Grams>,
}

impl Custody {
    /// Takes a text.
    ///
    /// # Errors
    /// It stands for nothing here, or is a person's and there is no key.
    pub(super) fn text(
        &mut self,
        name: Name,
        text: &str,
        key: Option<&PersonKey>,
    ) -> Result<(), Reason> {
        match name {
            Name::Tag => self.tag = Some(Tag::from_hex(text).ok_or(Reason::OutOfRange)?),
            Name::Person => {
                let user = key.ok_or(Reason::NoKey)?.pseudonym(text);
                self.deposit().user = Some(user);
            }
            Name::Waste => {
                let kind = WasteKind::ALL.into_iter().find(|kind| kind.as_str() == text);
                self.deposit().kind = Some(kind.ok_or(Reason::OutOfRange)?);
            }
            Name::Violation => {
                let violation = Violation::deserialize(Value::String(text.to_owned()));
                self.deposit().violation = Some(violation.map_err(|_| Reason::OutOfRange)?);
            }
            _ => return Err(Reason::Field),
        }
        Ok(())
    }

    /// Takes a weight of a deposit or a lift.
    pub(super) fn weight(&mut self, name: Name, grams: Grams) {
        let place = match name {
            Name::DepositWeight => &mut self.deposit().weight,
            Name::ScaleBefore => &mut self.deposit().before,
            Name::ScaleAfter => &mut self.deposit().after,
            Name::GrossWeight => &mut self.gross,
            Name::TareWeight => &mut self.tare,
            _ => return,
        };
        *place = Some(grams);
    }

    fn deposit(&mut self) -> &mut Deposit {
        self.deposit.get_or_insert_default()
    }

    /// What was found. Weights of a lift without its tag are [`Reason::Field`].
    pub(super) fn finish(self) -> (Vec<Quantity>, Option<Reason>) {
        let mut found: Vec<Quantity> = self.deposit.map(Quantity::Deposit).into_iter().collect();
        let (gross, tare) = (self.gross, self.tare);
        found.extend(self.tag.map(|tag| Quantity::Lift(Lift { tag, gross, tare })));
        let homeless = self.tag.is_none() && gross.or(tare).is_some();
        (found, homeless.then_some(Reason::Field))
    }
}
