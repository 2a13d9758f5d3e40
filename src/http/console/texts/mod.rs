//! What pages say: one file a language. A text that one of them lacks is an error of the compiler's.

mod en;
mod ru;

use axum::http::{HeaderMap, HeaderValue};

use super::cookies::cookies;
use crate::{
    http::exchange,
    order::{fault::Language, model::Status},
};

const COOKIE: &str = "aqua-language";

/// Texts that stand alone are sentences; others are parts of a page.
#[derive(Debug)]
pub(super) struct Texts {
    /// Which form of a word stands behind that number.
    pub form: fn(i64) -> usize,
    pub service: &'static str,
    pub skip: &'static str,
    pub other_language: &'static str,
    pub other_language_code: &'static str,

    pub log_in: &'static str,
    pub enter: &'static str,
    pub log_out: &'static str,
    pub login: &'static str,
    pub password: &'static str,
    pub wrong_password: &'static str,
    pub nothing_done: &'static str,
    pub session_is_over: &'static str,
    pub text_goes_on: &'static str,
    pub text_goes_on_hint: &'static str,

    pub publication: &'static str,
    pub orders: &'static str,
    pub actions: &'static str,

    pub not_found: &'static str,
    pub not_found_text: &'static str,
    pub forbidden: &'static str,
    pub forbidden_text: &'static str,
    pub refused: &'static str,
    pub foreign_origin_text: &'static str,
    pub plain_text_text: &'static str,
    pub away: &'static str,
    pub away_text: &'static str,
    pub busy: &'static str,
    pub busy_text: &'static str,
    pub many_exports_text: &'static str,
    pub defect: &'static str,
    pub defect_text: &'static str,
    pub to_the_beginning: &'static str,

    pub overview: &'static str,
    pub incoming: &'static str,
    pub last_order: &'static str,
    pub no_last_order: &'static str,
    pub last_hour: &'static str,
    pub last_day: &'static str,
    pub last_month: &'static str,
    pub accepted: &'static str,
    pub accepted_with_remarks: &'static str,
    pub accepted_hint: &'static str,
    pub rejected: &'static str,
    pub time_to_store: &'static str,
    pub slow_to_store: &'static str,
    pub to_1c: &'static str,
    pub no_targets: &'static str,
    pub target_works: &'static str,
    pub target_works_refuses: &'static str,
    pub target_is_paused: &'static str,
    pub target_is_failing: &'static str,
    pub target_refuses_us: &'static str,
    pub behind: &'static str,
    pub nothing_behind: &'static str,
    pub behind_by: &'static str,
    pub refused_by_target: &'static str,
    pub dead_at_target: &'static str,
    pub last_delivered: &'static str,
    pub new_of_a_day: &'static str,
    pub came_new: &'static str,
    pub taken_by_1c: &'static str,
    pub not_taken_by_1c: &'static str,
    pub without_word_of_1c: &'static str,
    pub took_half: &'static str,
    pub took_most: &'static str,
    pub took_longest: &'static str,
    pub took_hint: &'static str,
    pub took_unknown: &'static str,
    pub newest_counted: &'static str,
    pub publications: &'static str,
    pub by_hour: &'static str,
    pub by_day: &'static str,
    pub hour: &'static str,
    pub day: &'static str,
    pub orders_made: &'static str,
    pub orders_by_creation: &'static str,
    pub rejected_by_arrival: &'static str,
    pub counted_how: &'static str,
    pub known_since: &'static str,
    pub weekdays: &'static [&'static str; 7],
    pub numbers: &'static str,
    pub numbers_below: &'static str,
    pub counts_cut: &'static str,
    pub reasons: &'static str,
    pub no_reasons: &'static str,
    pub reasons_hint: &'static str,
    pub reasons_cut: &'static str,
    pub reason: &'static str,
    pub code: &'static str,
    pub just_now: &'static str,
    pub ago: &'static str,
    pub milliseconds_long: &'static str,
    pub seconds: &'static str,
    pub minutes: &'static str,
    pub hours: &'static str,
    pub days: &'static str,

    pub all: &'static str,
    pub all_orders: &'static str,
    pub search: &'static str,
    pub search_label: &'static str,
    pub search_placeholder: &'static str,
    pub searched: &'static str,
    pub search_cut: &'static str,
    pub search_more: &'static str,
    pub what_is_searched: &'static str,
    pub found_refused: &'static str,
    pub found_refused_cut: &'static str,
    pub no_accepted: &'static str,
    pub found_orders: &'static str,
    pub picked_cut: &'static str,
    pub filter: &'static str,
    pub today: &'static str,
    pub yesterday: &'static str,
    pub last_week: &'static str,
    pub no_such_day: &'static str,
    pub days_reversed: &'static str,
    pub no_such_status: &'static str,
    pub found: &'static str,
    pub more_found: &'static str,
    pub created_from: &'static str,
    pub created_to: &'static str,
    pub not_taken: &'static str,
    pub with_unmatched: &'static str,
    pub unmatched: &'static str,
    pub with_remarks: &'static str,
    pub remarks: &'static str,
    pub apply: &'static str,
    pub reset: &'static str,
    pub export_hint: &'static str,
    pub export_csv: &'static str,
    pub export_xlsx: &'static str,
    pub about_export: &'static str,
    pub export_cut: &'static str,
    pub delivery_from: &'static str,
    pub delivery_to: &'static str,
    pub number_in_1c: &'static str,
    pub why_not_taken: &'static str,
    pub which_remarks: &'static str,
    pub no_orders: &'static str,
    pub status: &'static str,
    pub created: &'static str,
    pub delivery: &'static str,
    pub client: &'static str,
    pub address: &'static str,
    pub total: &'static str,
    pub newest: &'static str,
    pub approve: &'static str,
    pub complete: &'static str,
    pub cancel_order: &'static str,
    pub cancel_sure: &'static str,
    pub status_set: &'static str,
    pub resent: &'static str,
    pub withheld: &'static str,
    pub nothing_to_withhold: &'static str,
    pub stale: &'static str,
    pub no_such_step: &'static str,
    pub sender_id: &'static str,
    pub in_1c: &'static str,
    pub with_an_error: &'static str,
    pub lines: &'static str,
    pub product: &'static str,
    pub price: &'static str,
    pub quantity: &'static str,
    pub sum: &'static str,
    pub product_not_found: &'static str,
    pub left_empty_line: &'static str,
    pub comment: &'static str,
    pub comment_of_client: &'static str,
    pub guest: &'static str,
    /// Ways to pay, by their usual names on the wire.
    pub payment_types: &'static [(&'static str, &'static str)],
    pub registered: &'static str,
    pub phone: &'static str,
    pub person: &'static str,
    pub company: &'static str,
    pub email: &'static str,
    pub number: &'static str,
    pub client_number: &'static str,
    pub resend: &'static str,
    pub withhold: &'static str,
    pub target_has_it: &'static str,
    pub target_waits: &'static str,
    pub target_paused: &'static str,
    pub target_fails: &'static str,
    pub target_parked: &'static str,
    pub target_dead: &'static str,
    pub target_withheld: &'static str,
    pub target_nothing: &'static str,
    pub history: &'static str,
    pub as_it_came: &'static str,
    pub show_kept: &'static str,
    pub event_made: &'static str,
    pub event_changed: &'static str,
    pub event_resent: &'static str,
    pub event_withheld: &'static str,
    pub event_corrected: &'static str,
    pub event_sent_in: &'static str,
    pub event_not_taken: &'static str,
    pub event_rejected: &'static str,
    pub event_remarks: &'static str,
    pub event_reported: &'static str,
    pub by_sender: &'static str,
    pub from_console: &'static str,
    pub back_office: &'static str,
    pub by_command: &'static str,
    pub line: &'static str,
    pub yes: &'static str,
    pub no: &'static str,
    /// What fields of an order are called, by their names on the wire.
    pub fields: &'static [(&'static str, &'static str)],

    pub rejected_orders: &'static str,
    pub rejected_hint: &'static str,
    pub no_call: &'static str,
    pub no_call_hint: &'static str,
    pub remarks_hint: &'static str,
    pub by_fault: &'static str,
    pub groups_cut: &'static str,
    pub nothing_open: &'static str,
    pub received: &'static str,
    pub without_id: &'static str,
    pub what_is_wrong: &'static str,
    pub was_wrong: &'static str,
    pub checked: &'static str,
    pub value_came: &'static str,
    pub to_do: &'static str,
    pub settle: &'static str,
    pub kept_settled: &'static str,
    pub kept_is_erased: &'static str,
    pub kept_reopened: &'static str,
    pub settled: &'static str,
    pub by_itself: &'static str,
    pub settled_meanwhile: &'static str,
    pub changed_since: &'static str,
    pub since_came_in: &'static str,
    pub since_order_changed: &'static str,
    pub since_client_changed: &'static str,
    pub over_another_order: &'static str,
    pub order_empty: &'static str,
    pub order_list: &'static str,
    pub not_json: &'static str,
    pub no_place: &'static str,
    pub order_too_long: &'static str,
    pub too_long_to_edit: &'static str,
    pub not_stored: &'static str,
    pub would_change: &'static str,
    pub rejected_again: &'static str,
    pub would_be_accepted: &'static str,
    pub would_be_rejected: &'static str,
    pub order_accepted: &'static str,
    pub the_order: &'static str,
    pub order_json: &'static str,
    pub check: &'static str,
    pub fields_hint: &'static str,
    pub not_chosen: &'static str,
    pub send: &'static str,
    pub you_wrote: &'static str,
    pub text_is_back: &'static str,
    pub send_all: &'static str,
    pub send_all_hint: &'static str,
    pub sent_again: &'static str,
    pub sending_goes_on: &'static str,

    pub unmatched_products: &'static str,
    pub unmatched_hint: &'static str,
    pub nothing_unmatched: &'static str,
    pub product_id: &'static str,
    pub called: &'static str,
    pub lines_waiting: &'static str,
    pub fill: &'static str,
    pub choose_product: &'static str,
    pub further: &'static str,
    pub left_empty: &'static str,
    pub matched_products: &'static str,
    pub now_left_empty: &'static str,
    pub put_back: &'static str,
    pub put_back_action: &'static str,
    pub waiting: &'static str,
    pub nothing_waits: &'static str,
    pub means_product: &'static str,
    pub matched_by: &'static str,
    pub take_match_back: &'static str,
    pub will_not_mean: &'static str,
    pub will_be_emptied: &'static str,
    pub take_back_hint: &'static str,
    pub take_back: &'static str,
    pub do_not_take_back: &'static str,
    pub empties: &'static str,
    pub emptied_so_far: &'static str,
    pub left_to_empty: &'static str,
    pub fills: &'static str,
    pub filled_so_far: &'static str,
    pub go_on: &'static str,
    pub stop: &'static str,
    pub fill_lines: &'static str,
    pub preview: &'static str,
    pub will_mean: &'static str,
    pub will_be_filled: &'static str,
    pub match_and_fill: &'static str,
    pub choose_another: &'static str,
    pub which_product: &'static str,
    pub product_search: &'static str,
    pub no_products: &'static str,
    pub not_sold: &'static str,
    pub choose: &'static str,
    pub is_left_empty: &'static str,
    pub leave_empty_hint: &'static str,
    pub leave_empty: &'static str,
    pub filled: &'static str,
    pub taken_back: &'static str,
    pub nothing_to_take_back: &'static str,
    pub no_such_product: &'static str,
    pub matched_meanwhile: &'static str,
    pub catalogue_busy: &'static str,
    pub products_cut: &'static str,
    pub lines_of_orders: &'static str,
    pub empty_lines: &'static [&'static str],
    pub in_open_orders: &'static [&'static str],
    pub lines_cut: &'static str,
    pub orders_cut: &'static str,

    pub refused_by_1c: &'static str,
    pub refused_hint: &'static str,
    pub not_taken_orders: &'static str,
    pub no_sending: &'static str,
    pub nothing_refused: &'static str,
    pub resend_dead: &'static str,
    pub resend_all: &'static str,
    pub resent_refused: &'static str,
    pub nothing_to_resend: &'static str,
    pub why: &'static str,
    pub refusals: &'static str,
    pub refused_since: &'static str,
    pub of_tries: &'static str,
    pub target_app: &'static str,
    pub last_requests: &'static str,
    pub milliseconds: &'static str,
    pub taken: &'static str,
    pub refused_count: &'static str,
    pub works: &'static str,
    pub paused: &'static str,
    pub fails_since: &'static str,

    pub double: &'static str,
    pub double_hint: &'static str,

    pub actions_hint: &'static str,
    pub no_actions: &'static str,
    pub done_from: &'static str,
    pub done_to: &'static str,
    pub anybody: &'static str,
    pub by_person: &'static str,
    pub actions_cut: &'static str,
    pub actions_export_hint: &'static str,
    pub actions_export_cut: &'static str,
    pub lines_filled: &'static str,
    pub when: &'static str,
    pub who: &'static str,
    pub what: &'static str,
    pub details: &'static str,
    pub order: &'static str,
    pub older: &'static str,
    pub act_set_status: &'static str,
    pub act_resend: &'static str,
    pub act_withhold: &'static str,
    pub act_export_orders: &'static str,
    pub act_export_actions: &'static str,
    pub act_settle: &'static str,
    pub act_resubmit: &'static str,
    pub act_resubmit_in_vain: &'static str,
    pub act_match: &'static str,
    pub act_fill: &'static str,
    pub act_take_back: &'static str,
    pub act_empty: &'static str,
    pub act_leave_empty: &'static str,
    pub act_ask_again: &'static str,
    pub act_reopen: &'static str,

    pub act_export_client: &'static str,
    pub act_erase_client: &'static str,
    pub clients: &'static str,
    pub clients_hint: &'static str,
    pub client_search_label: &'static str,
    pub client_search_placeholder: &'static str,
    pub no_clients: &'static str,
    pub which_client: &'static str,
    pub sender_id_of_client: &'static str,
    pub kind: &'static str,
    pub account_number: &'static str,
    pub inn: &'static str,
    pub legal_address: &'static str,
    pub client_data: &'static str,
    pub last_orders: &'static str,
    pub show_client: &'static str,
    pub export_client: &'static str,
    pub erase_client: &'static str,
    pub erase_sure: &'static str,
    pub erase_open_orders: &'static str,
    pub erase_for_good: &'static str,
    pub client_erased: &'static str,
    pub client_is_erased: &'static str,
    pub order_is_erased: &'static str,
    pub erased: &'static str,
    pub client_has_open_orders: &'static str,
    pub clients_cut: &'static str,
    pub of_all: &'static str,
    pub kept_of_client: &'static str,
    pub kept_of_client_hint: &'static str,
    pub no_kept_of_client: &'static str,
    pub kept_cut: &'static str,
    pub elsewhere: &'static str,
    pub elsewhere_hint: &'static str,
    pub erase_title: &'static str,
    pub erase_whom: &'static str,
    pub erase_stays: &'static str,
    pub open_orders: &'static str,
    pub do_not_erase: &'static str,
    pub erased_by: &'static str,

    pub status_new: &'static str,
    pub status_approved: &'static str,
    pub status_completed: &'static str,
    pub status_removed: &'static str,
    pub status_news: &'static str,
    pub status_approveds: &'static str,
    pub status_completeds: &'static str,
    pub status_removeds: &'static str,
    pub whole_sum: &'static str,
    pub sum_of_lines: &'static str,
    pub sums_differ: &'static str,
}

impl Texts {
    /// `{} {} …` with numbers and the words behind them.
    pub fn counted(&self, text: &str, counts: &[(i64, &[&str])]) -> String {
        counts.iter().fold(text.to_owned(), |text, (count, words)| {
            let word = words.get((self.form)(*count)).unwrap_or(&"");
            let text = text.replacen("{}", &count.to_string(), 1);
            text.replacen("{}", word, 1)
        })
    }

    pub fn status(&self, status: Status) -> &'static str {
        match status {
            Status::New => self.status_new,
            Status::Approved => self.status_approved,
            Status::Completed => self.status_completed,
            Status::Removed => self.status_removed,
        }
    }

    /// Orders of that status.
    pub fn statuses(&self, status: Status) -> &'static str {
        match status {
            Status::New => self.status_news,
            Status::Approved => self.status_approveds,
            Status::Completed => self.status_completeds,
            Status::Removed => self.status_removeds,
        }
    }

    /// What a field is called; its name where there is no word for it.
    pub fn field<'a>(&self, name: &'a str) -> &'a str {
        let found = self.fields.iter().find(|(known, _)| *known == name);
        found.map_or(name, |(_, title)| title)
    }

    /// What a way to pay is called; as it was sent where there is no word for it.
    pub fn payment_type<'a>(&self, sent: &'a str) -> &'a str {
        let found = self.payment_types.iter().find(|(known, _)| *known == sent);
        found.map_or(sent, |(_, title)| title)
    }

    /// Of what an action was, as the journal calls it.
    pub fn action<'a>(&self, kind: &'a str) -> &'a str {
        match kind {
            "set_status" => self.act_set_status,
            "resend" => self.act_resend,
            "withhold" => self.act_withhold,
            "export_orders" => self.act_export_orders,
            "export_actions" => self.act_export_actions,
            "settle" => self.act_settle,
            "resubmit" => self.act_resubmit,
            "resubmit_in_vain" => self.act_resubmit_in_vain,
            "match" => self.act_match,
            "fill" => self.act_fill,
            "take_back" => self.act_take_back,
            "empty" => self.act_empty,
            "leave_empty" => self.act_leave_empty,
            "ask_again" => self.act_ask_again,
            "reopen" => self.act_reopen,
            "export_client" => self.act_export_client,
            "erase_client" => self.act_erase_client,
            other => other,
        }
    }
}

pub(super) fn texts(language: Language) -> &'static Texts {
    match language {
        Language::Ru => &ru::TEXTS,
        Language::En => &en::TEXTS,
    }
}

/// The one that was chosen, or else the one of ours that the browser prefers.
pub(super) fn language(headers: &HeaderMap) -> Language {
    match cookies(headers).find(|(name, _)| *name == COOKIE) {
        Some((_, "en")) => Language::En,
        Some((_, "ru")) => Language::Ru,
        _ => exchange::language(headers),
    }
}

/// Keeps the choice.
pub(super) fn cookie(language: Language) -> HeaderValue {
    HeaderValue::from_static(match language {
        Language::Ru => {
            "aqua-language=ru; Path=/console; Max-Age=31536000; HttpOnly; SameSite=Strict"
        }
        Language::En => {
            "aqua-language=en; Path=/console; Max-Age=31536000; HttpOnly; SameSite=Strict"
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_take_the_form_that_their_number_asks_for() {
        let counted = |language, n| {
            let t = texts(language);
            let counts = [(n, t.empty_lines), (n, t.in_open_orders)];
            t.counted(t.lines_of_orders, &counts)
        };
        for (n, said) in [
            (1, "1 строка в 1 открытом заказе"),
            (3, "3 строки в 3 открытых заказах"),
            (11, "11 строк в 11 открытых заказах"),
            (21, "21 строка в 21 открытом заказе"),
            (112, "112 строк в 112 открытых заказах"),
        ] {
            assert_eq!(counted(Language::Ru, n), said);
        }
        assert_eq!(counted(Language::En, 1), "1 line of 1 open order");
        assert_eq!(counted(Language::En, 21), "21 lines of 21 open orders");
    }
}
