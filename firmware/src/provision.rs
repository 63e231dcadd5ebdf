//! Who a node is, written into its memory when it is made.
//!
//! ```text
//! version u8 | node u32 | kind u8 | fitted u8 | keyed u8 | key 32 bytes | filling | CRC-32C u32
//! ```
//!
//! Numbers are little endian. The program writes it never, so that one image serves every node and an update
//! keeps who each of them is.

use wire::{Firmware, KEY_LEN, Key};

use crate::node::{Identity, Kind};

/// The length of what is written when a node is made, in bytes.
pub const PROVISION_LEN: usize = 64;

const VERSION: u8 = 1;
const CRC_LEN: usize = 4;
const HEAD_LEN: usize = 8;
const RANGE_FINDER: u8 = 0x01;

/// What a node is told when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provision {
    /// Its number on the line, not that of all nodes.
    pub node: u32,
    /// What it looks after.
    pub kind: Kind,
    /// A bay node has a range finder that looks up beside its magnetometer.
    pub has_range_finder: bool,
    /// The key that it shares with its agent, where frames are authenticated.
    pub key: Option<[u8; KEY_LEN]>,
}

/// Why a node does not know who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvisionFault {
    /// The CRC does not fit: never written, or damaged.
    Checksum,
    /// Written for a program with another form of it.
    Version(u8),
    /// The CRC fits, the content does not: an unknown kind, or the number that means all nodes.
    Malformed,
}

impl Provision {
    /// The bytes to write.
    #[must_use]
    pub fn encode(&self) -> [u8; PROVISION_LEN] {
        let mut bytes = [0; PROVISION_LEN];
        bytes[0] = VERSION;
        bytes[1..5].copy_from_slice(&self.node.to_le_bytes());
        bytes[5] = match self.kind {
            Kind::Bay => 0,
            Kind::Bin => 1,
        };
        bytes[6] = if self.has_range_finder { RANGE_FINDER } else { 0 };
        bytes[7] = self.key.is_some().into();
        if let Some(key) = &self.key {
            bytes[HEAD_LEN..HEAD_LEN + KEY_LEN].copy_from_slice(key);
        }
        let (checked, sum) = bytes.split_at_mut(PROVISION_LEN - CRC_LEN);
        sum.copy_from_slice(&wire::CRC.checksum(checked).to_le_bytes());
        bytes
    }

    /// Reads what was written.
    ///
    /// # Errors
    /// The bytes were never written, are damaged, or not of this version.
    pub fn decode(bytes: &[u8; PROVISION_LEN]) -> Result<Provision, ProvisionFault> {
        let (checked, sum) = bytes.split_at(PROVISION_LEN - CRC_LEN);
        if wire::CRC.checksum(checked).to_le_bytes() != *sum {
            return Err(ProvisionFault::Checksum);
        }
        let (head, rest) =
            checked.split_first_chunk::<HEAD_LEN>().ok_or(ProvisionFault::Malformed)?;
        let [version, a, b, c, d, kind, fitted, keyed] = *head;
        if version != VERSION {
            return Err(ProvisionFault::Version(version));
        }
        let kind = match kind {
            0 => Kind::Bay,
            1 => Kind::Bin,
            _ => return Err(ProvisionFault::Malformed),
        };
        let key = match keyed {
            0 => None,
            1 => Some(*rest.first_chunk::<KEY_LEN>().ok_or(ProvisionFault::Malformed)?),
            _ => return Err(ProvisionFault::Malformed),
        };
        let node = u32::from_le_bytes([a, b, c, d]);
        if node == wire::BROADCAST || fitted > RANGE_FINDER {
            return Err(ProvisionFault::Malformed);
        }
        Ok(Provision { node, kind, has_range_finder: fitted == RANGE_FINDER, key })
    }

    /// The identity of a node that was made so and runs `firmware`; `None` for the number that means all
    /// nodes.
    #[must_use]
    pub fn identity(&self, firmware: Firmware) -> Option<Identity> {
        let mut identity = Identity::new(self.node, self.kind, firmware)?;
        if self.has_range_finder {
            identity = identity.with_range_finder();
        }
        Some(match self.key {
            Some(key) => identity.with_key(Key::new(key)),
            None => identity,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MADE: Provision =
        Provision { node: 1001, kind: Kind::Bin, has_range_finder: true, key: Some([7; KEY_LEN]) };

    fn sealed(mut bytes: [u8; PROVISION_LEN]) -> [u8; PROVISION_LEN] {
        let (checked, sum) = bytes.split_at_mut(PROVISION_LEN - CRC_LEN);
        sum.copy_from_slice(&wire::CRC.checksum(checked).to_le_bytes());
        bytes
    }

    #[test]
    fn the_form_is_pinned() {
        let bytes = MADE.encode();
        assert_eq!(bytes[..10], [1, 0xE9, 3, 0, 0, 1, 1, 1, 7, 7]);
        let plain = Provision { key: None, has_range_finder: false, kind: Kind::Bay, ..MADE };
        assert_eq!(plain.encode()[..10], [1, 0xE9, 3, 0, 0, 0, 0, 0, 0, 0]);
        for made in [MADE, plain] {
            assert_eq!(Provision::decode(&made.encode()), Ok(made));
        }
    }

    #[test]
    fn what_was_not_made_is_refused() {
        assert_eq!(Provision::decode(&[0xFF; PROVISION_LEN]), Err(ProvisionFault::Checksum));
        assert_eq!(Provision::decode(&[0; PROVISION_LEN]), Err(ProvisionFault::Checksum));
        for (place, value) in [(5, 2), (6, 2), (7, 2)] {
            let mut bytes = MADE.encode();
            bytes[place] = value;
            assert_eq!(
                Provision::decode(&sealed(bytes)),
                Err(ProvisionFault::Malformed),
                "{place}"
            );
        }
        let mut bytes = MADE.encode();
        bytes[0] = 2;
        assert_eq!(Provision::decode(&sealed(bytes)), Err(ProvisionFault::Version(2)));
        let all = Provision { node: wire::BROADCAST, ..MADE };
        assert_eq!(Provision::decode(&all.encode()), Err(ProvisionFault::Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(parts in any::<[[u8; 32]; 2]>()) {
            let mut bytes = [0; PROVISION_LEN];
            bytes.copy_from_slice(parts.as_flattened());
            let _ = Provision::decode(&sealed(bytes));
        }
    }
}
