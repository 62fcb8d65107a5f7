//! Who may have how many requests in flight: bounded in all, and fair between partners.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use wayleave_core::PartnerId;

use super::limits::ServerLimits;

/// The places of one core for requests that APIs behind are answering.
///
/// A partner may take a place while it has fewer than are free: one alone gets half of them at
/// most, two greedy ones a third each, and some are always left for whoever comes next (dynamic
/// thresholds, Choudhury and Hahne 1998).
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_of_partner: usize,
    taken: RefCell<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_partner: HashMap<PartnerId, usize>,
}

impl Places {
    /// The share of one core of a node's places.
    pub(super) fn share(limits: &ServerLimits, cores: usize) -> Rc<Self> {
        let share = |places: usize| match places {
            0 => usize::MAX,
            places => places.div_ceil(cores.max(1)),
        };
        Rc::new(Places {
            most: share(limits.requests_in_flight),
            most_of_partner: share(limits.requests_in_flight_per_partner),
            taken: RefCell::default(),
        })
    }

    /// Takes a place for a request of a partner; `None`: it has enough, or there is none.
    pub(super) fn take(self: &Rc<Self>, partner: PartnerId) -> Option<Place> {
        let mut taken = self.taken.borrow_mut();
        let free = self.most - taken.all;
        let own = taken.by_partner.get(&partner).copied().unwrap_or_default();
        if own >= free || own >= self.most_of_partner {
            return None;
        }
        taken.all += 1;
        taken.by_partner.insert(partner, own + 1);
        Some(Place {
            places: self.clone(),
            partner,
        })
    }
}

/// A place that was taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Rc<Places>,
    partner: PartnerId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.borrow_mut();
        taken.all -= 1;
        if let Some(own) = taken.by_partner.get_mut(&self.partner) {
            *own -= 1;
            if *own == 0 {
                taken.by_partner.remove(&self.partner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wayleave_core::Timestamp;

    use super::*;

    fn places(requests_in_flight: usize, requests_in_flight_per_partner: usize) -> Rc<Places> {
        let limits = ServerLimits {
            requests_in_flight,
            requests_in_flight_per_partner,
            ..ServerLimits::default()
        };
        Places::share(&limits, 1)
    }

    fn partner(number: u8) -> PartnerId {
        PartnerId::new(Timestamp::from_unix_s(1), [number; 10])
    }

    /// As many as it gets.
    fn take_all(places: &Rc<Places>, number: u8) -> Vec<Place> {
        std::iter::from_fn(|| places.take(partner(number))).collect()
    }

    #[test]
    fn one_partner_gets_half_and_others_find_places_still() {
        let places = places(100, 0);
        let greedy = take_all(&places, 1);
        assert_eq!(greedy.len(), 50);
        let second = take_all(&places, 2);
        assert_eq!(second.len(), 25);
        assert!(places.take(partner(3)).is_some());
        drop(greedy);
        assert!(places.take(partner(1)).is_some());
        drop(second);
        assert_eq!(places.taken.borrow().all, 0);
        assert!(places.taken.borrow().by_partner.is_empty());
    }

    #[test]
    fn nine_greedy_partners_share_and_a_quiet_tenth_finds_a_place() {
        let places = places(1_000, 0);
        let mut taken: Vec<Vec<Place>> = (0..9).map(|_| Vec::new()).collect();
        for _ in 0..1_000 {
            for (number, own) in taken.iter_mut().enumerate() {
                own.extend(places.take(partner(number as u8)));
            }
        }
        let counts: Vec<usize> = taken.iter().map(Vec::len).collect();
        assert!(
            counts.iter().all(|count| (90..=110).contains(count)),
            "{counts:?}"
        );
        assert!(take_all(&places, 200).len() >= 40);
    }

    #[test]
    fn a_number_of_its_own_bounds_a_partner_and_none_bounds_nobody() {
        assert_eq!(take_all(&places(100, 10), 1).len(), 10);
        let unbounded = places(0, 0);
        let taken: Vec<Place> = (0..10_000)
            .filter_map(|_| unbounded.take(partner(1)))
            .collect();
        assert_eq!(taken.len(), 10_000);
    }
}
