//! An order is cut at every step of `docs/order-cycle.md`, and comes to the end that it has without.
//!
//! Two kinds of cut: the database takes so many more rows and then none, as when the power goes while
//! something is written (`Power`); and what is outside does what it is asked, or does not, and its answer
//! never comes (`Cut`). After either the engine is dropped, another one is opened on the same database,
//! and its jobs go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use wayleave_core::{ChargeId, OrderId, OrderState};
use wayleave_engine::{
    Actor, Buyer, Charge, ChargeOutcome, Engine, HookSender, InstanceOrder, Outside, Processor,
    ProvisionError, Provisioner,
};
use wayleave_protocol::callback::CallbackRequest;
use wayleave_store::BoxFuture;
use wayleave_testkit::{DatabaseKind, RawSql};

use crate::bare_engine::BareEngine;
use crate::harness::TestNode;
use crate::shop::{self, wait};

/// What steps write to.
const TABLES: [&str; 10] = [
    "sales_order",
    "order_line",
    "charge",
    "instance",
    "name_claim",
    "licence_pool",
    "pool_version",
    "plan_term",
    "job",
    "mail",
];
/// As many rows as no test writes.
const ENDLESS: i64 = 1_000_000;

/// The power of a database: it takes so many more rows.
struct Power(RawSql);

impl Power {
    fn install(mut sql: RawSql) -> Self {
        sql.run("CREATE TABLE power (rows_left BIGINT NOT NULL)");
        sql.run(&format!("INSERT INTO power VALUES ({ENDLESS})"));
        if sql.is_postgres() {
            sql.run(
                "CREATE FUNCTION take_power() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                   UPDATE power SET rows_left = rows_left - 1;
                   IF (SELECT rows_left FROM power) < 0 THEN RAISE 'the power is cut'; END IF;
                   RETURN NEW;
                 END $$",
            );
        }
        for table in TABLES {
            for what in ["INSERT", "UPDATE"] {
                let name = format!("power_{table}_{what}");
                let does = match sql.is_postgres() {
                    true => "FOR EACH ROW EXECUTE FUNCTION take_power()".to_owned(),
                    false => {
                        "BEGIN UPDATE power SET rows_left = rows_left - 1;
                        SELECT RAISE(ABORT, 'the power is cut') FROM power WHERE rows_left < 0; END"
                            .to_owned()
                    }
                };
                sql.run(&format!(
                    "CREATE TRIGGER {name} BEFORE {what} ON {table} {does}"
                ));
            }
        }
        Power(sql)
    }

    fn leave(&mut self, rows: i64) {
        self.0.run(&format!("UPDATE power SET rows_left = {rows}"));
    }

    fn used(&mut self) -> i64 {
        ENDLESS - number(&mut self.0, "SELECT CAST(rows_left AS TEXT) FROM power")
    }
}

fn number(sql: &mut RawSql, statement: &str) -> i64 {
    let texts = sql.texts(statement);
    let text = texts.first().map(String::as_str).unwrap_or_default();
    text.parse().unwrap_or(0)
}

/// Which call to the outside has no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cut {
    /// It was not even heard.
    Before(usize),
    /// It was done.
    After(usize),
}

/// What is outside: it outlives every engine.
#[derive(Default)]
struct World {
    calls: Mutex<usize>,
    cut: Mutex<Option<Cut>>,
    /// What was taken, by charge, and whether it was given back.
    money: Mutex<BTreeMap<ChargeId, (OrderId, i64, bool)>>,
    /// Names that are there, with their displays.
    instances: Mutex<BTreeMap<String, u32>>,
    /// Names that can never be made.
    refused: Mutex<BTreeSet<String>>,
    hooks: Mutex<Vec<String>>,
    /// Whether some cards are declined, and some answers unknown at first.
    is_moody: AtomicBool,
}

impl World {
    /// Counts a call, and does it; `None`: its answer does not come.
    fn answer<T>(&self, does: impl FnOnce() -> T) -> Option<T> {
        let number = {
            let mut calls = self.calls.lock();
            *calls += 1;
            *calls
        };
        match *self.cut.lock() {
            Some(Cut::Before(cut)) if cut == number => None,
            Some(Cut::After(cut)) if cut == number => {
                does();
                None
            }
            _ => Some(does()),
        }
    }

    fn begin(&self, cut: Option<Cut>) {
        *self.calls.lock() = 0;
        *self.cut.lock() = cut;
    }

    /// What a card does: the last letter of a charge's id is random.
    fn mood(&self, charge: &Charge) -> ChargeOutcome {
        let is_moody = self.is_moody.load(Ordering::SeqCst);
        let is_first = !self.money.lock().contains_key(&charge.id);
        match charge.id.to_string().bytes().last().unwrap_or_default() % 4 {
            0 if is_moody => ChargeOutcome::Declined,
            1 if is_moody && is_first => {
                let entry = (charge.order_id, charge.amount.minor(), false);
                self.money.lock().insert(charge.id, entry);
                ChargeOutcome::Unknown
            }
            _ => ChargeOutcome::Paid,
        }
    }

    /// What an order has cost: taken and not given back.
    fn paid_for(&self, order: OrderId) -> i64 {
        let money = self.money.lock();
        let of = money.values().filter(|(of, _, back)| *of == order && !back);
        of.map(|(_, minor, _)| minor).sum()
    }
}

struct Bank(Arc<World>);

impl Processor for Bank {
    fn charge<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, ChargeOutcome> {
        let outcome = self.0.answer(|| {
            match self.0.mood(charge) {
                ChargeOutcome::Paid => {}
                other => return other,
            }
            let entry = (charge.order_id, charge.amount.minor(), false);
            self.0.money.lock().entry(charge.id).or_insert(entry);
            ChargeOutcome::Paid
        });
        Box::pin(std::future::ready(
            outcome.unwrap_or(ChargeOutcome::Unknown),
        ))
    }

    fn refund<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, bool> {
        let done = self.0.answer(|| {
            let mut money = self.0.money.lock();
            money.get_mut(&charge.id).expect("it was taken").2 = true;
        });
        Box::pin(std::future::ready(done.is_some()))
    }
}

struct Driver(Arc<World>);

fn no_answer<T>(done: Option<T>) -> Result<T, ProvisionError> {
    done.ok_or_else(|| ProvisionError::NotNow("no answer".to_owned()))
}

impl Provisioner for Driver {
    fn provide<'a>(
        &'a self,
        order: &'a InstanceOrder,
    ) -> BoxFuture<'a, Result<(), ProvisionError>> {
        let name = order.account_name.clone();
        let done = self.0.answer(|| {
            if self.0.refused.lock().contains(&name) {
                return Err(ProvisionError::Never("it cannot be made".to_owned()));
            }
            self.0.instances.lock().insert(name, order.displays);
            Ok(())
        });
        Box::pin(std::future::ready(no_answer(done).and_then(|done| done)))
    }

    fn upgrade<'a>(&'a self, _: &'a str, _: u32) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(std::future::ready(no_answer(self.0.answer(|| ()))))
    }

    fn remove<'a>(&'a self, account_name: &'a str) -> BoxFuture<'a, Result<(), ProvisionError>> {
        let done = self.0.answer(|| {
            self.0.instances.lock().remove(account_name);
        });
        Box::pin(std::future::ready(no_answer(done)))
    }
}

struct Caller(Arc<World>);

impl HookSender for Caller {
    fn check(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn call<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<(), String>> {
        let done = self.0.answer(|| self.0.hooks.lock().push(url.to_owned()));
        Box::pin(std::future::ready(done.ok_or("no answer".to_owned())))
    }

    fn tell<'a>(&'a self, _: &'a CallbackRequest) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(std::future::ready(Err("no event is told".to_owned())))
    }
}

/// A database, what is outside, and a partner.
struct Stage {
    node: TestNode,
    world: Arc<World>,
    power: Power,
    sql: RawSql,
    buyer: Buyer,
    runs: usize,
}

impl Stage {
    fn new(kind: DatabaseKind) -> Self {
        let mut node = TestNode::start(kind);
        let buyer = shop::buyer(&node);
        node.halt();
        let database = node.settings().environments[1].database.clone();
        Stage {
            world: Arc::default(),
            power: Power::install(RawSql::open(&database)),
            sql: RawSql::open(&database),
            buyer,
            node,
            runs: 0,
        }
    }

    fn open(&self) -> BareEngine {
        let open = BareEngine::open(&self.node, || Outside {
            processor: Box::new(Bank(self.world.clone())),
            provisioner: Arc::new(Driver(self.world.clone())),
        });
        open.engine.set_hooks(Box::new(Caller(self.world.clone())));
        open
    }

    /// Lets time pass, and jobs run as far as they come.
    fn go_on(&self, open: &BareEngine) {
        self.node.clock.advance(Duration::from_secs(61));
        wait(async { while matches!(open.engine.run_jobs().await, Ok(1..)) {} });
    }

    /// The same until nothing waits that somebody asked for.
    fn settle(&mut self, open: &BareEngine) {
        for _ in 0..100 {
            self.go_on(open);
            let waiting = "SELECT COUNT(*) || '' FROM job WHERE state = 'waiting'
                AND kind IN ('advance', 'give-back', 'hook', 'mail')";
            if number(&mut self.sql, waiting) == 0 {
                return;
            }
        }
        panic!("there is work that comes to no end");
    }

    /// What there is of an order, in words that are the same for every run of a story.
    fn outcome(&mut self, names: &Names, order: OrderId) -> Outcome {
        let mut texts = |statement: &str| {
            self.sql
                .texts(&statement.replace("THIS", &order.to_string()))
        };
        let state = texts("SELECT state FROM sales_order WHERE id = 'THIS'");
        let charges = texts("SELECT state FROM charge WHERE order_id = 'THIS' ORDER BY state");
        let lines = texts(
            "SELECT CASE WHEN delivered_at IS NULL THEN 'open' ELSE 'delivered' END
             FROM order_line WHERE order_id = 'THIS' ORDER BY place",
        );
        let rows = texts(
            "SELECT CAST(displays AS TEXT) FROM instance WHERE order_id = 'THIS' AND removed_at IS NULL",
        );
        let plans = texts(
            "SELECT plan FROM plan_term
             WHERE order_id = 'THIS' AND ended_at IS NULL",
        );
        let licences = format!(
            "SELECT CAST(COALESCE(SUM(licences), 0) AS TEXT) FROM pool_version
             JOIN licence_pool ON licence_pool.id = pool_id WHERE email = '{}'",
            names.email
        );
        let licences = texts(&licences);
        let mails = texts(
            "SELECT COUNT(*) || '' FROM mail, sales_order WHERE sales_order.id = 'THIS'
               AND (subject = 'Invoice for order ' || number
                 OR subject = 'Order ' || number || ' was taken back')",
        );
        let hooks = self.world.hooks.lock();
        Outcome {
            state,
            charges,
            lines,
            rows,
            plans,
            licences,
            mails,
            outside: self.world.instances.lock().get(&names.instance).copied(),
            paid: self.world.paid_for(order),
            was_called: hooks.contains(&names.hook),
        }
    }
}

/// What a run of a story orders; no other run has the same.
struct Names {
    email: String,
    instance: String,
    hook: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Outcome {
    state: Vec<String>,
    charges: Vec<String>,
    lines: Vec<String>,
    rows: Vec<String>,
    plans: Vec<String>,
    licences: Vec<String>,
    mails: Vec<String>,
    outside: Option<u32>,
    paid: i64,
    was_called: bool,
}

/// How an order goes on after it was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Story {
    /// The card pays.
    Card,
    /// There is no card: an invoice, which an operator notes as paid.
    Invoice,
    /// The card pays, and the last line can never be made.
    Undeliverable,
    /// The card pays, and an operator gives it all back.
    Refunded,
}

impl Stage {
    /// A client and an operator who want a story to come to its end, and try again where they heard of no
    /// success; with the power as it is.
    fn tell(&mut self, story: Story, rows: Option<i64>, cut: Option<Cut>) -> (Outcome, i64, usize) {
        self.runs += 1;
        let run = self.runs;
        let names = Names {
            email: format!("run{run}@partner.example"),
            instance: format!("run-{run}"),
            hook: format!("https://hooks.example.com/{run}"),
        };
        if story == Story::Undeliverable {
            self.world.refused.lock().insert(names.instance.clone());
        }
        self.world.begin(cut);
        self.power.leave(ENDLESS);
        let mut open = self.open();
        self.power.leave(rows.unwrap_or(ENDLESS));
        let mut done = self.attempt(&open, story, &names);
        if rows.is_some() || cut.is_some() {
            self.go_on(&open);
            self.go_on(&open);
            // The power is back, and the node starts anew.
            drop(open);
            self.power.leave(ENDLESS);
            open = self.open();
            self.settle(&open);
            done = self.attempt(&open, story, &names);
        }
        self.settle(&open);
        // What was still on its way when the client asked the second time.
        let order = done.or_else(|| self.attempt(&open, story, &names));
        let order = order.unwrap_or_else(|| panic!("{story:?} {rows:?} {cut:?} is never done"));
        self.settle(&open);
        let (rows_used, calls) = (self.power.used(), *self.world.calls.lock());
        drop(open);
        (self.outcome(&names, order), rows_used, calls)
    }

    /// One attempt at everything that is left of a story; `None`: something failed.
    fn attempt(&mut self, open: &BareEngine, story: Story, names: &Names) -> Option<OrderId> {
        let ordered = self.sql.texts(&format!(
            "SELECT order_id FROM order_line WHERE details LIKE '%\"{}\"%'",
            names.email
        ));
        let known = ordered.first().map(|id| id.parse().expect("an id"));
        wait(self.go_on_with(&open.engine, story, names, known))
    }

    async fn go_on_with(
        &self,
        engine: &Engine,
        story: Story,
        names: &Names,
        known: Option<OrderId>,
    ) -> Option<OrderId> {
        let whole = match known {
            Some(id) => engine.order_by_id(id).await.ok()?,
            None => {
                let lines = [
                    shop::licences(&names.email, 7),
                    shop::plan(3),
                    shop::instance(&names.instance, false),
                ];
                engine.checkout(self.buyer, &lines).await.ok()?
            }
        };
        let (id, number) = (whole.order.id, whole.order.number);
        let mut state = whole.order.state;
        if state == OrderState::Quote {
            let acceptance = shop::acceptance(story != Story::Invoice, &names.hook);
            let accepted = engine.process_quote(self.buyer, number, acceptance).await;
            state = accepted.ok()?.order.state;
        }
        let by = Actor::system();
        if story == Story::Invoice && state == OrderState::Invoiced {
            state = engine.settle_order(&by, id).await.ok()?.order.state;
        }
        match (story, state) {
            (Story::Refunded, OrderState::Complete) => {
                engine.refund_order(&by, id, "they asked").await.ok()?;
                Some(id)
            }
            (Story::Refunded | Story::Undeliverable, OrderState::Refunded) => Some(id),
            (Story::Card | Story::Invoice, OrderState::Complete) => Some(id),
            _ => None,
        }
    }

    /// Cuts a story at every row that it writes, or one in so many, and at every call that it makes.
    fn cut_everywhere(&mut self, story: Story, one_in: usize) -> usize {
        let (whole, rows, calls) = self.tell(story, None, None);
        self.must_be_right(story, &whole);
        for row in (0..rows).step_by(one_in) {
            let (cut, ..) = self.tell(story, Some(row), None);
            assert_eq!(cut, whole, "{story:?}, cut at row {row} of {rows}");
        }
        for call in 1..=calls {
            for cut in [Cut::Before(call), Cut::After(call)] {
                let (outcome, ..) = self.tell(story, None, Some(cut));
                assert_eq!(outcome, whole, "{story:?}, {cut:?} of {calls}");
            }
        }
        usize::try_from(rows).expect("a number") + 2 * calls
    }

    fn must_be_right(&self, story: Story, whole: &Outcome) {
        let is_kept = matches!(story, Story::Card | Story::Invoice);
        assert_eq!(whole.state, [if is_kept { "complete" } else { "refunded" }]);
        assert_eq!(whole.rows.len(), usize::from(is_kept), "{whole:?}");
        assert_eq!(whole.outside, is_kept.then_some(3));
        assert_eq!(whole.plans.len(), usize::from(is_kept), "{whole:?}");
        assert_eq!(whole.licences, [if is_kept { "7" } else { "0" }]);
        assert_eq!(whole.paid > 0, story == Story::Card);
        assert_eq!(whole.was_called, story != Story::Undeliverable);
    }
}

fn cut_everywhere(kind: DatabaseKind, story: Story) {
    if !kind.is_available() {
        return;
    }
    // Every attempt costs PostgreSQL many commits; what it adds is seen at one row in five too.
    let one_in = match kind {
        DatabaseKind::Sqlite => 1,
        DatabaseKind::Postgres => 5,
    };
    let cuts = Stage::new(kind).cut_everywhere(story, one_in);
    assert!(cuts > 20, "{story:?}: only {cuts} cuts");
}

#[test]
fn a_paid_order_comes_to_its_end_from_every_cut_on_sqlite() {
    cut_everywhere(DatabaseKind::Sqlite, Story::Card);
}

#[test]
fn a_paid_order_comes_to_its_end_from_every_cut_on_postgres() {
    cut_everywhere(DatabaseKind::Postgres, Story::Card);
}

#[test]
fn an_invoiced_order_comes_to_its_end_from_every_cut_on_sqlite() {
    cut_everywhere(DatabaseKind::Sqlite, Story::Invoice);
}

#[test]
fn an_invoiced_order_comes_to_its_end_from_every_cut_on_postgres() {
    cut_everywhere(DatabaseKind::Postgres, Story::Invoice);
}

#[test]
fn what_cannot_be_delivered_is_given_back_from_every_cut_on_sqlite() {
    cut_everywhere(DatabaseKind::Sqlite, Story::Undeliverable);
}

#[test]
fn what_cannot_be_delivered_is_given_back_from_every_cut_on_postgres() {
    cut_everywhere(DatabaseKind::Postgres, Story::Undeliverable);
}

#[test]
fn a_refund_comes_to_its_end_from_every_cut_on_sqlite() {
    cut_everywhere(DatabaseKind::Sqlite, Story::Refunded);
}

#[test]
fn a_refund_comes_to_its_end_from_every_cut_on_postgres() {
    cut_everywhere(DatabaseKind::Postgres, Story::Refunded);
}

/// The transitions that there are, and no other.
const EDGES: [&str; 10] = [
    "quote invoiced",
    "quote processing",
    "quote cancelled",
    "quote expired",
    "invoiced processing",
    "invoiced cancelled",
    "processing complete",
    "processing invoiced",
    "processing refunded",
    "complete refunded",
];

/// Pseudo-random numbers (xorshift64) from a seed, so that a walk that fails can be taken again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Writes down every change of state of every order.
fn watch_states(sql: &mut RawSql) {
    let place = match sql.is_postgres() {
        true => "BIGSERIAL",
        false => "INTEGER",
    };
    sql.run(&format!(
        "CREATE TABLE edge (place {place} PRIMARY KEY, order_id TEXT NOT NULL, edge TEXT NOT NULL)"
    ));
    let note = "INSERT INTO edge (order_id, edge) VALUES (NEW.id, OLD.state || ' ' || NEW.state);";
    if sql.is_postgres() {
        sql.run(&format!(
            "CREATE FUNCTION note_edge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               {note} RETURN NEW; END $$"
        ));
    }
    let does = match sql.is_postgres() {
        true => {
            "FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION note_edge()".to_owned()
        }
        false => format!("WHEN OLD.state <> NEW.state BEGIN {note} END"),
    };
    sql.run(&format!(
        "CREATE TRIGGER note_edge AFTER UPDATE ON sales_order {does}"
    ));
}

/// Does something to an order, whatever comes of it.
async fn stumble(engine: Arc<Engine>, buyer: Buyer, (id, number): (OrderId, i64), what: u64) {
    let by = Actor::system();
    let acceptance = shop::acceptance(what.is_multiple_of(2), "https://hooks.example.com/");
    match what {
        0..=3 => drop(engine.process_quote(buyer, number, acceptance).await),
        4 => drop(engine.cancel_order(&by, id).await),
        5 | 6 => drop(engine.settle_order(&by, id).await),
        7 => drop(engine.refund_order(&by, id, "a walk").await),
        8 => drop(engine.order(buyer, number).await),
        _ => drop(engine.run_jobs().await),
    }
}

const WALKS_AT_ONCE: usize = 40;
const ROUNDS: usize = 10;
/// Steps come in waves: those of one at the same moment, the next after them.
const WAVES: usize = 4;
const STEPS: usize = 3;

impl Stage {
    /// Many walks at once, each by several at the same time. Gives what was ordered.
    async fn walk(
        &self,
        open: &BareEngine,
        dice: &mut Dice,
        round: usize,
    ) -> Vec<(OrderId, Names)> {
        let mut ordered = Vec::new();
        for walk in 0..WALKS_AT_ONCE {
            let names = Names {
                email: format!("walk{round}x{walk}@partner.example"),
                instance: format!("walk-{round}-{walk}"),
                hook: String::new(),
            };
            if dice.below(5) == 0 {
                self.world.refused.lock().insert(names.instance.clone());
            }
            let lines = [
                shop::licences(&names.email, 2),
                shop::instance(&names.instance, false),
            ];
            let quote = shop::quote(&open.engine, self.buyer, &lines).await.order;
            ordered.push(((quote.id, quote.number), names));
        }
        for wave in 0..WAVES {
            let mut walking = tokio::task::JoinSet::new();
            for (order, _) in &ordered {
                for _ in 0..STEPS {
                    let (engine, what) = (open.engine.clone(), dice.below(10));
                    walking.spawn(stumble(engine, self.buyer, *order, what));
                }
            }
            if (round % 5, wave) == (4, 0) {
                // The quotes of this round expire while they are walked on.
                self.node.clock.advance(Duration::from_secs(31 * 24 * 3600));
                while open.engine.run_jobs().await.expect("jobs") > 0 {}
            }
            while walking.join_next().await.is_some() {}
        }
        let ids = ordered.into_iter();
        ids.map(|((id, _), names)| (id, names)).collect()
    }

    fn must_add_up(&mut self, order: OrderId, names: &Names) {
        let told = self.outcome(names, order);
        let edges = self.sql.texts(&format!(
            "SELECT edge FROM edge WHERE order_id = '{order}' ORDER BY place"
        ));
        let mut at = "quote";
        for edge in &edges {
            assert!(EDGES.contains(&edge.as_str()), "{order}: {edges:?}");
            let (from, to) = edge.split_once(' ').expect("two states");
            assert_eq!(from, at, "{order}: {edges:?}");
            at = to;
        }
        assert_eq!(told.state, [at], "{order}: {edges:?}");
        assert!(at != "processing", "{order} is stuck: {edges:?}");
        let is_kept = at == "complete";
        assert_eq!(
            told.licences,
            [if is_kept { "2" } else { "0" }],
            "{edges:?} {told:?}"
        );
        assert_eq!(told.rows.len(), usize::from(is_kept), "{edges:?} {told:?}");
        assert_eq!(told.outside.is_some(), is_kept, "{edges:?} {told:?}");
        let total = "SELECT CAST(total_minor AS TEXT) FROM sales_order WHERE id =";
        let total = number(&mut self.sql, &format!("{total} '{order}'"));
        let paid: Vec<_> = told
            .charges
            .iter()
            .filter(|state| *state == "paid")
            .collect();
        let by_card = is_kept && !edges.contains(&"invoiced processing".to_owned());
        assert_eq!(paid.len(), usize::from(by_card), "{edges:?} {told:?}");
        assert_eq!(
            told.paid,
            if by_card { total } else { 0 },
            "{edges:?} {told:?}"
        );
    }
}

fn walk(kind: DatabaseKind) {
    if !kind.is_available() {
        return;
    }
    let mut stage = Stage::new(kind);
    watch_states(&mut stage.sql);
    stage.world.is_moody.store(true, Ordering::SeqCst);
    let open = stage.open();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut ordered = Vec::new();
    for round in 0..ROUNDS {
        ordered.extend(wait(stage.walk(&open, &mut dice, round)));
    }
    stage.settle(&open);
    for (order, names) in &ordered {
        stage.must_add_up(*order, names);
    }
    let seen = stage
        .sql
        .texts("SELECT DISTINCT edge FROM edge ORDER BY edge");
    let missed = EDGES
        .iter()
        .filter(|edge| !seen.contains(&(**edge).to_owned()));
    let missed: Vec<_> = missed.collect();
    assert!(missed.is_empty(), "these were never taken: {missed:?}");
}

#[test]
fn walks_in_parallel_take_allowed_edges_and_add_up_on_sqlite() {
    walk(DatabaseKind::Sqlite);
}

#[test]
fn walks_in_parallel_take_allowed_edges_and_add_up_on_postgres() {
    walk(DatabaseKind::Postgres);
}

/// Two orders for one name, accepted at the same moment: one becomes the instance, and the other is given
/// back without touching it.
fn one_name(kind: DatabaseKind) {
    if !kind.is_available() {
        return;
    }
    let mut stage = Stage::new(kind);
    let open = stage.open();
    for round in 0..8 {
        let names = Names {
            email: format!("both{round}@partner.example"),
            instance: format!("both-{round}"),
            hook: String::new(),
        };
        let lines = [
            shop::licences(&names.email, 1),
            shop::instance(&names.instance, false),
        ];
        let (engine, buyer) = (&open.engine, stage.buyer);
        let quotes = wait(async {
            let quotes = [
                shop::quote(engine, buyer, &lines).await.order,
                shop::quote(engine, buyer, &lines).await.order,
            ];
            let accept =
                |number| engine.process_quote(buyer, number, shop::acceptance(true, &names.hook));
            let (one, other) = tokio::join!(accept(quotes[0].number), accept(quotes[1].number));
            assert!(one.is_ok() && other.is_ok());
            quotes
        });
        stage.settle(&open);
        let told = quotes.map(|quote| stage.outcome(&names, quote.id));
        let mut ends = told
            .clone()
            .map(|told| (told.state.concat(), told.rows.len(), told.paid > 0));
        ends.sort();
        let [kept, back] = [("complete", 1, true), ("refunded", 0, false)];
        let ended = ends
            .each_ref()
            .map(|(state, rows, paid)| (state.as_str(), *rows, *paid));
        assert_eq!(ended, [kept, back], "{told:?}");
        assert_eq!(told[0].outside, Some(3));
        assert_eq!(told[0].licences, ["1"]);
    }
}

#[test]
fn of_two_orders_for_one_name_one_is_delivered_and_the_other_takes_nothing_away_on_sqlite() {
    one_name(DatabaseKind::Sqlite);
}

#[test]
fn of_two_orders_for_one_name_one_is_delivered_and_the_other_takes_nothing_away_on_postgres() {
    one_name(DatabaseKind::Postgres);
}
