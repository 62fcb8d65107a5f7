//! Whether a visitor may see a page: one function over what is known of both, row by row. The rows
//! have the numbers under which `docs/readers.md` lists them; the first that fits counts.

use std::fmt;
use std::str::FromStr;

use crate::{BlockerAction, UnknownWord};

/// Who asks for a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visitor {
    /// Our own reading of pages that are to become resources.
    Spider,
    /// A search engine that has proven to be one, where the property lets such in.
    VerifiedCrawler,
    /// Somebody who is known by an id only.
    Anonymous,
    /// A reader who has signed in, with what they are for the property.
    Reader(Option<ReaderRole>),
}

impl Visitor {
    /// Whether it is nobody who has signed in.
    pub fn is_anonymous(self) -> bool {
        !matches!(self, Visitor::Reader(_))
    }
}

/// What a reader is for a property, apart from a reader: each of them sees every page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReaderRole {
    /// Administers it.
    Administrator,
    /// Works for it.
    Manager,
    /// Was invited.
    Guest,
}

impl ReaderRole {
    /// Every role.
    pub const ALL: [ReaderRole; 3] = [
        ReaderRole::Administrator,
        ReaderRole::Manager,
        ReaderRole::Guest,
    ];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            ReaderRole::Administrator => "administrator",
            ReaderRole::Manager => "manager",
            ReaderRole::Guest => "guest",
        }
    }
}

impl fmt::Display for ReaderRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReaderRole {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        ReaderRole::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownWord {
                noun: "role",
                known: "administrator, manager, guest",
            })
    }
}

/// What is known of the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageStanding {
    /// No resource has its key, and none was made of it.
    Unknown,
    /// It became a resource, but what it says of itself cannot be read.
    Unreadable,
    /// It is a resource that is not managed at present.
    Inactive,
    /// It is a resource, sold on these terms.
    Managed(Terms),
}

/// On which terms a page is sold, as far as the decision goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Terms {
    /// For nothing.
    Free,
    /// For nothing, to who has signed in.
    SignIn,
    /// At a price, which may be nothing at present.
    Priced {
        /// Whether the price in force is nothing.
        is_zero: bool,
    },
    /// For what the reader chooses to pay.
    Chosen,
    /// Not on its own.
    SubscriptionOnly,
}

/// What a site found out about blockers of advertisements in a visitor's browser.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum AdBlocker {
    /// Nothing.
    #[default]
    Unknown,
    /// It did not look.
    NotLookedFor,
    /// There is none.
    NotDetected,
    /// There is one.
    Detected,
}

impl AdBlocker {
    /// The word of the content dialect.
    pub fn content_word(self) -> &'static str {
        match self {
            AdBlocker::Unknown => "Unknown",
            AdBlocker::NotLookedFor => "DetectionNotPerformed",
            AdBlocker::NotDetected => "AdBlockerNotDetected",
            AdBlocker::Detected => "AdBlockerDetected",
        }
    }

    /// Reads the word of the content dialect in any case; anything else is unknown.
    pub fn of_content_word(word: &str) -> Self {
        [
            AdBlocker::NotLookedFor,
            AdBlocker::NotDetected,
            AdBlocker::Detected,
        ]
        .into_iter()
        .find(|status| status.content_word().eq_ignore_ascii_case(word))
        .unwrap_or_default()
    }
}

/// How far a visitor has used a property's quota in the present period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MeterReading {
    /// How many distinct pages were counted.
    pub hits: u32,
    /// How many there are.
    pub allowed: u32,
    /// Whether this page is one of those that were counted.
    pub has_this_page: bool,
}

impl MeterReading {
    /// Whether there is nothing left.
    pub fn is_met(self) -> bool {
        self.hits >= self.allowed
    }
}

/// Everything that the decision depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Situation {
    /// Who asks.
    pub visitor: Visitor,
    /// For what.
    pub page: PageStanding,
    /// Whether the property shows nothing to who has not signed in.
    pub always_sign_in: bool,
    /// Whether it shows even what is free only to who has.
    pub sign_in_for_free: bool,
    /// Whether the reader has bought this page, and that lasts.
    pub is_bought: bool,
    /// Whether a subscription of the reader that has not ended covers the page.
    pub is_subscribed: bool,
    /// Whether the property sells subscriptions.
    pub sells_subscriptions: bool,
    /// What it does about blockers where it lives on advertisements; `None`: it does not.
    pub ad_supported: Option<BlockerAction>,
    /// What is known of a blocker.
    pub ad_blocker: AdBlocker,
    /// The quota; `None`: the property has none.
    pub meter: Option<MeterReading>,
}

/// What the site is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessAction {
    /// Show the page.
    Grant,
    /// Send the visitor to where it can be paid for.
    Purchase,
    /// Send the visitor to where they sign in.
    Authenticate,
}

impl AccessAction {
    /// The word of the content dialect.
    pub fn content_word(self) -> &'static str {
        match self {
            AccessAction::Grant => "Grant",
            AccessAction::Purchase => "Purchase",
            AccessAction::Authenticate => "Authenticate",
        }
    }
}

/// Why.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AccessReason {
    /// There is no right to it.
    Deny,
    /// It is one of the pages that the quota gives.
    Quota,
    /// A subscription.
    Subscription,
    /// It was bought.
    Purchase,
    /// It costs nothing.
    Free,
    /// Somebody of the property.
    PropertyUser,
    /// Advertisements pay for it.
    AdSupported,
    /// What the page says of itself cannot be read.
    BadConfig,
    /// It is not managed.
    UnknownResource,
    /// Our own reading.
    Spider,
    /// A search engine that has proven to be one.
    VerifiedCrawler,
}

impl AccessReason {
    /// The word of the content dialect.
    pub fn content_word(self) -> &'static str {
        match self {
            AccessReason::Deny => "Deny",
            AccessReason::Quota => "Quota",
            AccessReason::Subscription => "Subscription",
            AccessReason::Purchase => "Purchase",
            AccessReason::Free => "Free",
            AccessReason::PropertyUser => "PropertyUser",
            AccessReason::AdSupported => "AdSupported",
            AccessReason::BadConfig => "BadConfig",
            AccessReason::UnknownResource => "UnknownResource",
            AccessReason::Spider => "Spider",
            AccessReason::VerifiedCrawler => "VerifiedCrawler",
        }
    }
}

/// What was decided. The action is [`AccessAction::Grant`] exactly where the reason is not
/// [`AccessReason::Deny`]: both are made of the row, and nothing else makes a decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    action: AccessAction,
    reason: AccessReason,
    row: u8,
}

impl Decision {
    /// What the site is to do.
    pub fn action(self) -> AccessAction {
        self.action
    }

    /// Why.
    pub fn reason(self) -> AccessReason {
        self.reason
    }

    /// Which row fitted.
    pub fn row(self) -> u8 {
        self.row
    }

    /// Whether the page is shown.
    pub fn is_granted(self) -> bool {
        self.action == AccessAction::Grant
    }

    /// Whether the page has to be counted before it is shown.
    pub fn counts_hit(self) -> bool {
        self.row == NEW_HIT
    }

    /// Whether the page costs the visitor nothing whoever they are: it is free, its price is nothing,
    /// or advertisements pay for it.
    pub fn is_no_cost(self) -> bool {
        matches!(self.reason, AccessReason::Free | AccessReason::AdSupported)
    }
}

/// The row in which a page is counted.
const NEW_HIT: u8 = 20;

fn grant(row: u8, reason: AccessReason) -> Decision {
    Decision {
        action: AccessAction::Grant,
        reason,
        row,
    }
}

fn deny(row: u8, action: AccessAction) -> Decision {
    Decision {
        action,
        reason: AccessReason::Deny,
        row,
    }
}

/// Decides. Where the decision counts a hit ([`Decision::counts_hit`]), it holds only once the hit is
/// stored; where that finds no room, it is decided again with what it found.
pub fn decide(situation: &Situation) -> Decision {
    let terms = match (situation.visitor, situation.page) {
        (Visitor::Spider, _) => return grant(1, AccessReason::Spider),
        // Row 3 makes a resource of an unknown page; where it did, this function is not asked before.
        (_, PageStanding::Unknown) => return grant(2, AccessReason::UnknownResource),
        (_, PageStanding::Unreadable) => return grant(4, AccessReason::BadConfig),
        (_, PageStanding::Inactive) => return grant(5, AccessReason::UnknownResource),
        (Visitor::VerifiedCrawler, _) => return grant(22, AccessReason::VerifiedCrawler),
        (Visitor::Reader(Some(_)), _) => return grant(6, AccessReason::PropertyUser),
        (_, PageStanding::Managed(terms)) => terms,
    };
    let is_anonymous = situation.visitor.is_anonymous();
    if situation.always_sign_in && is_anonymous {
        return deny(7, AccessAction::Authenticate);
    }
    match terms {
        Terms::Free if situation.sign_in_for_free && is_anonymous => {
            deny(8, AccessAction::Authenticate)
        }
        Terms::Free => grant(9, AccessReason::Free),
        Terms::SignIn if is_anonymous => deny(10, AccessAction::Authenticate),
        Terms::SignIn => grant(11, AccessReason::Free),
        Terms::Priced { .. } | Terms::Chosen | Terms::SubscriptionOnly => {
            decide_paid(situation, terms)
        }
    }
}

/// Rows 12 to 21: what has to be paid for in some way.
fn decide_paid(situation: &Situation, terms: Terms) -> Decision {
    if situation.is_bought {
        return grant(12, AccessReason::Purchase);
    }
    if situation.sells_subscriptions && situation.is_subscribed {
        return grant(13, AccessReason::Subscription);
    }
    if let Some(rule) = situation.ad_supported {
        return decide_ad_supported(situation.ad_blocker, rule);
    }
    if terms == (Terms::Priced { is_zero: true }) {
        return grant(18, AccessReason::Free);
    }
    match situation.meter {
        Some(meter) if meter.has_this_page => grant(19, AccessReason::Quota),
        Some(meter) if !meter.is_met() => grant(NEW_HIT, AccessReason::Quota),
        _ => deny(21, AccessAction::Purchase),
    }
}

/// Decides while nothing can be looked up about the reader, nor counted: what needs neither is
/// decided as ever. `opens`: whether the property shows the rest (row 23) or denies it.
pub fn decide_unseen(situation: &Situation, opens: bool) -> Decision {
    let unseen = Situation {
        is_bought: false,
        is_subscribed: false,
        meter: None,
        ..*situation
    };
    match decide(&unseen) {
        Decision { row: 21, .. } if opens => grant(23, AccessReason::Quota),
        decision => decision,
    }
}

/// Whether the page is open to whoever comes, without a right and without being counted: what search
/// engines are told of it (`isAccessibleForFree` of schema.org).
pub fn is_open_to_all(situation: &Situation) -> bool {
    let anybody = Situation {
        visitor: Visitor::Anonymous,
        is_bought: false,
        is_subscribed: false,
        ad_blocker: AdBlocker::Unknown,
        meter: None,
        ..*situation
    };
    decide(&anybody).is_granted()
}

fn decide_ad_supported(blocker: AdBlocker, rule: BlockerAction) -> Decision {
    match (blocker, rule) {
        (AdBlocker::NotDetected, _) => grant(14, AccessReason::AdSupported),
        (AdBlocker::Unknown | AdBlocker::NotLookedFor, _) => grant(15, AccessReason::AdSupported),
        (AdBlocker::Detected, BlockerAction::Warn) => grant(16, AccessReason::AdSupported),
        (AdBlocker::Detected, BlockerAction::Require) => deny(17, AccessAction::Purchase),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRICED: PageStanding = PageStanding::Managed(Terms::Priced { is_zero: false });
    const READER: Visitor = Visitor::Reader(None);

    /// An anonymous visitor at a page with a price, of a property without anything else.
    const PLAIN: Situation = Situation {
        visitor: Visitor::Anonymous,
        page: PRICED,
        always_sign_in: false,
        sign_in_for_free: false,
        is_bought: false,
        is_subscribed: false,
        sells_subscriptions: true,
        ad_supported: None,
        ad_blocker: AdBlocker::Unknown,
        meter: None,
    };

    fn metered(hits: u32, has_this_page: bool) -> Option<MeterReading> {
        Some(MeterReading {
            hits,
            allowed: 5,
            has_this_page,
        })
    }

    /// Checks a row: its situation, and what is decided.
    fn check(row: u8, situation: Situation, action: AccessAction, reason: AccessReason) {
        let decision = decide(&situation);
        assert_eq!(
            (decision.row(), decision.action(), decision.reason()),
            (row, action, reason),
            "{situation:?}"
        );
        assert_eq!(decision.counts_hit(), row == 20);
        assert_eq!(
            decision.is_no_cost(),
            matches!(row, 9 | 11 | 14 | 15 | 16 | 18)
        );
    }

    macro_rules! rows {
        ($($name:ident: $row:literal, $action:ident, $reason:ident, { $($change:tt)* };)*) => {
            $(#[test]
            fn $name() {
                let situation = Situation { $($change)* ..PLAIN };
                check($row, situation, AccessAction::$action, AccessReason::$reason);
            })*
        };
    }

    rows! {
        row_01_the_spider_sees_everything: 1, Grant, Spider, { visitor: Visitor::Spider, always_sign_in: true, };
        row_02_what_is_unknown_is_public: 2, Grant, UnknownResource, { page: PageStanding::Unknown, always_sign_in: true, };
        row_03_what_was_made_of_an_unknown_page_is_decided_like_any_other: 21, Purchase, Deny, { page: PRICED, };
        row_04_what_cannot_be_read_is_public: 4, Grant, BadConfig, { page: PageStanding::Unreadable, always_sign_in: true, };
        row_05_what_is_not_managed_is_public: 5, Grant, UnknownResource, { page: PageStanding::Inactive, always_sign_in: true, };
        row_06_a_guest_of_the_property_sees_everything: 6, Grant, PropertyUser, { visitor: Visitor::Reader(Some(ReaderRole::Guest)), };
        row_07_some_properties_ask_everybody_to_sign_in: 7, Authenticate, Deny, { always_sign_in: true, page: PageStanding::Managed(Terms::Free), };
        row_08_some_ask_for_it_before_what_is_free: 8, Authenticate, Deny, { sign_in_for_free: true, page: PageStanding::Managed(Terms::Free), };
        row_09_what_is_free_is_shown: 9, Grant, Free, { page: PageStanding::Managed(Terms::Free), };
        row_09_also_to_who_has_signed_in: 9, Grant, Free, { page: PageStanding::Managed(Terms::Free), sign_in_for_free: true, always_sign_in: true, visitor: READER, };
        row_10_what_asks_for_a_name_is_not_shown_without: 10, Authenticate, Deny, { page: PageStanding::Managed(Terms::SignIn), };
        row_11_and_is_shown_with_one: 11, Grant, Free, { page: PageStanding::Managed(Terms::SignIn), visitor: READER, };
        row_12_what_was_bought_is_shown: 12, Grant, Purchase, { is_bought: true, is_subscribed: true, visitor: READER, meter: metered(0, false), };
        row_13_a_subscription_counts_before_the_meter: 13, Grant, Subscription, { is_subscribed: true, visitor: READER, meter: metered(0, false), };
        row_13_but_not_where_none_are_sold: 21, Purchase, Deny, { is_subscribed: true, sells_subscriptions: false, visitor: READER, };
        row_14_advertisements_pay_without_a_blocker: 14, Grant, AdSupported, { ad_supported: Some(BlockerAction::Require), ad_blocker: AdBlocker::NotDetected, };
        row_15_and_where_nobody_looked_for_one: 15, Grant, AdSupported, { ad_supported: Some(BlockerAction::Require), ad_blocker: AdBlocker::NotLookedFor, };
        row_16_and_with_one_where_the_property_only_asks: 16, Grant, AdSupported, { ad_supported: Some(BlockerAction::Warn), ad_blocker: AdBlocker::Detected, };
        row_17_but_not_where_it_insists: 17, Purchase, Deny, { ad_supported: Some(BlockerAction::Require), ad_blocker: AdBlocker::Detected, meter: metered(0, false), };
        row_18_a_price_of_nothing_is_free: 18, Grant, Free, { page: PageStanding::Managed(Terms::Priced { is_zero: true }), meter: metered(5, false), };
        row_18_a_chosen_price_is_not: 21, Purchase, Deny, { page: PageStanding::Managed(Terms::Chosen), };
        row_19_a_page_that_was_counted_stays_open: 19, Grant, Quota, { meter: metered(5, true), };
        row_20_the_last_of_the_quota_is_given: 20, Grant, Quota, { meter: metered(4, false), };
        row_20_also_for_what_cannot_be_bought_singly: 20, Grant, Quota, { meter: metered(0, false), page: PageStanding::Managed(Terms::SubscriptionOnly), };
        row_21_and_no_more: 21, Purchase, Deny, { meter: metered(5, false), };
        row_21_without_a_quota: 21, Purchase, Deny, { visitor: READER, };
        row_22_a_search_engine_that_has_proven_to_be_one: 22, Grant, VerifiedCrawler, { visitor: Visitor::VerifiedCrawler, always_sign_in: true, };
    }

    #[test]
    fn words_read_back_and_any_other_status_is_unknown() {
        for status in [
            AdBlocker::Unknown,
            AdBlocker::NotLookedFor,
            AdBlocker::NotDetected,
            AdBlocker::Detected,
        ] {
            let word = status.content_word().to_lowercase();
            assert_eq!(AdBlocker::of_content_word(&word), status);
        }
        assert_eq!(AdBlocker::of_content_word(""), AdBlocker::Unknown);
        assert_eq!(AdBlocker::of_content_word("x"), AdBlocker::Unknown);
        for role in ReaderRole::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
    }

    #[test]
    fn row_23_a_property_may_open_its_pages_while_nothing_can_be_looked_up() {
        let known = Situation {
            meter: metered(0, true),
            is_bought: true,
            ..PLAIN
        };
        let closed = decide_unseen(&known, false);
        assert_eq!((closed.row(), closed.is_granted()), (21, false));
        let open = decide_unseen(&known, true);
        assert_eq!((open.row(), open.reason()), (23, AccessReason::Quota));
        assert!(!open.counts_hit());
        let free = Situation {
            page: PageStanding::Managed(Terms::Free),
            ..PLAIN
        };
        assert_eq!(decide_unseen(&free, false).row(), 9);
    }

    fn any_situation() -> impl Strategy<Value = Situation> {
        let visitor = prop::sample::select(vec![
            Visitor::Spider,
            Visitor::VerifiedCrawler,
            Visitor::Anonymous,
            READER,
            Visitor::Reader(Some(ReaderRole::Administrator)),
            Visitor::Reader(Some(ReaderRole::Manager)),
        ]);
        let page = prop::sample::select(vec![
            PageStanding::Unknown,
            PageStanding::Unreadable,
            PageStanding::Inactive,
            PageStanding::Managed(Terms::Free),
            PageStanding::Managed(Terms::SignIn),
            PRICED,
            PageStanding::Managed(Terms::Priced { is_zero: true }),
            PageStanding::Managed(Terms::Chosen),
            PageStanding::Managed(Terms::SubscriptionOnly),
        ]);
        let ads = prop::sample::select(vec![
            None,
            Some(BlockerAction::Warn),
            Some(BlockerAction::Require),
        ]);
        let blocker = prop::sample::select(vec![
            AdBlocker::Unknown,
            AdBlocker::NotLookedFor,
            AdBlocker::NotDetected,
            AdBlocker::Detected,
        ]);
        let meter = prop::option::of((0_u32..8, 0_u32..8, any::<bool>()));
        let flags = any::<[bool; 5]>();
        (visitor, page, ads, blocker, meter, flags).prop_map(
            |(visitor, page, ad_supported, ad_blocker, meter, flags)| Situation {
                visitor,
                page,
                always_sign_in: flags[0],
                sign_in_for_free: flags[1],
                is_bought: flags[2],
                is_subscribed: flags[3],
                sells_subscriptions: flags[4],
                ad_supported,
                ad_blocker,
                meter: meter.map(|(hits, allowed, has_this_page)| MeterReading {
                    hits,
                    allowed,
                    has_this_page,
                }),
            },
        )
    }

    proptest! {
        #[test]
        fn a_page_is_granted_exactly_where_the_reason_is_no_denial(situation in any_situation()) {
            let decision = decide(&situation);
            prop_assert_eq!(decision.is_granted(), decision.action() == AccessAction::Grant);
            prop_assert_eq!(decision.is_granted(), decision.reason() != AccessReason::Deny);
            prop_assert!((1..=22).contains(&decision.row()) && decision.row() != 3);
        }

        #[test]
        fn a_hit_is_counted_only_where_there_is_room_and_the_page_is_new(situation in any_situation()) {
            if decide(&situation).counts_hit() {
                let meter = situation.meter.expect("a quota");
                prop_assert!(meter.hits < meter.allowed && !meter.has_this_page);
            }
        }

        #[test]
        fn a_right_never_makes_less_of_a_page_visible(situation in any_situation()) {
            let richer = Situation { is_bought: true, ..situation };
            prop_assert!(!decide(&situation).is_granted() || decide(&richer).is_granted());
            let richer = Situation { is_subscribed: true, ..situation };
            prop_assert!(!decide(&situation).is_granted() || decide(&richer).is_granted());
        }
    }

    #[test]
    fn a_page_is_open_to_all_whoever_asks_and_whatever_they_have() {
        let of = |page, ad_supported| {
            let visitors = [
                Visitor::VerifiedCrawler,
                Visitor::Spider,
                Visitor::Anonymous,
                READER,
                Visitor::Reader(Some(ReaderRole::Guest)),
            ];
            let open = visitors.map(|visitor| {
                is_open_to_all(&Situation {
                    visitor,
                    page,
                    ad_supported,
                    is_bought: true,
                    is_subscribed: true,
                    ad_blocker: AdBlocker::Detected,
                    ..PLAIN
                })
            });
            assert!(open.iter().all(|one| *one == open[0]), "{page:?}");
            open[0]
        };
        let managed = PageStanding::Managed;
        for (page, ads, open) in [
            (PRICED, None, false),
            (PRICED, Some(BlockerAction::Require), true),
            (managed(Terms::Priced { is_zero: true }), None, true),
            (managed(Terms::Free), None, true),
            (managed(Terms::SignIn), None, false),
            (managed(Terms::Chosen), None, false),
            (managed(Terms::SubscriptionOnly), None, false),
            (PageStanding::Unknown, None, true),
            (PageStanding::Unreadable, None, true),
            (PageStanding::Inactive, None, true),
        ] {
            assert_eq!(of(page, ads), open, "{page:?}");
        }
        let closed = Situation {
            page: managed(Terms::Free),
            sign_in_for_free: true,
            ..PLAIN
        };
        assert!(!is_open_to_all(&closed));
    }
}
