//! Messages as they are read, in both languages, byte for byte.

use jiff::tz::TimeZone;
use serde_json::json;

use super::compose::Composed;
use super::*;

const NOW: TimestampMs = 1_795_534_320_000;

fn message(language: Language, notices: Vec<Notice>) -> Message {
    let zone = if language == Language::English { "Europe/Berlin" } else { "Asia/Shanghai" };
    Message {
        language,
        time_zone: TimeZone::get(zone).unwrap(),
        public_url: "https://pika.example.org/".to_owned(),
        channel: "ops".to_owned(),
        key: Uuid::from_u128(7),
        sent_at: NOW,
        due_at: NOW,
        is_test: false,
        notices,
    }
}

fn written(message: &Message) -> String {
    let composed = Composed::of(&Catalogue::load().unwrap(), message);
    let body = Format::Plain.write(&composed.lines, Cut { measure: Measure::Bytes, max: 10_000 });
    format!("{}\n---\n{body}", composed.title)
}

#[test]
fn an_alert_that_burns_says_what_where_how_much_since_when_and_what_to_do() {
    let notices = sample_notices(Sample::Firing, NOW);
    assert_eq!(
        written(&message(Language::English, notices.clone())),
        "[critical] web-7: / 95.6 % full\n---\n\
         Disk almost full on web-7, /. Tags: prod, fra1.\n\
         95.6 %, above 95.0 % (maximum of 5 min). Over below 92.0 %.\n\
         Since 2026-11-24 14:22 +01:00; firing for 2 h 5 min.\n\
         Also firing on web-7: Memory.\n\
         What to do: Clear /var/cache/apt, then extend the volume.\n\
         Rule: Disk space.\n\
         Open in Pika: https://pika.example.org/#/alerts/01935f00-0000-7000-8000-000000000001"
    );
    assert_eq!(
        written(&message(Language::Chinese, notices)),
        "[严重] web-7：/ 已用 95.6 %\n---\n\
         web-7 的 /：磁盘空间不足。 标签：prod、fra1。\n\
         当前值 95.6 %，高于 95.0 %（5 分钟内最大值）。 低于 92.0 % 时恢复。\n\
         自 2026-11-24 21:22 +08:00 起，已告警 2 小时 5 分钟。\n\
         web-7 的其他告警：Memory。\n\
         处理办法：Clear /var/cache/apt, then extend the volume.\n\
         规则：Disk space。\n\
         在 Pika 中查看: https://pika.example.org/#/alerts/01935f00-0000-7000-8000-000000000001"
    );
}

#[test]
fn an_alert_that_is_over_says_for_how_long_it_burned() {
    let notices = sample_notices(Sample::Resolved, NOW);
    assert_eq!(
        written(&message(Language::English, notices.clone())),
        "[resolved] web-7: Disk almost full (/), after 2 h 5 min\n---\n\
         Disk almost full on web-7, /. Tags: prod, fra1.\n\
         From 2026-11-24 14:27 +01:00 to 2026-11-24 16:32 +01:00: 2 h 5 min.\n\
         Peak: 96.1 % at 2026-11-24 15:32 +01:00.\n\
         Rule: Disk space.\n\
         Open in Pika: https://pika.example.org/#/alerts/01935f00-0000-7000-8000-000000000001"
    );
    assert!(
        written(&message(Language::Chinese, notices))
            .starts_with("[恢复] web-7：磁盘空间不足 (/)，持续 2 小时 5 分钟\n")
    );
}

#[test]
fn a_group_has_a_line_each_and_the_worst_is_first() {
    let text = written(&message(Language::English, sample_notices(Sample::Group, NOW)));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "20 firing, 5 resolved");
    assert_eq!(lines[2], "[critical] web-1: / 95.6 % full (14:27)");
    assert_eq!(lines.len(), 2 + 20 + 2, "{text}");
    assert_eq!(lines[22], "… and 5 more.");
    assert_eq!(lines[23], "Open in Pika: https://pika.example.org/#/alerts");
    let zh = written(&message(Language::Chinese, sample_notices(Sample::Group, NOW)));
    let places = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| c != '-' && !c.is_ascii_alphanumeric());
        words.filter(|word| word.starts_with("web-")).map(str::to_owned).collect()
    };
    assert_eq!(places(&text), places(&zh), "the same order in every language");
}

#[test]
fn what_is_late_merged_or_seen_again_says_so() {
    let mut notice = sample_notices(Sample::Resolved, NOW).remove(0);
    notice.is_unseen = true;
    let mut late = message(Language::English, vec![notice]);
    late.due_at = NOW - 14 * 60_000;
    let text = written(&late);
    assert!(text.starts_with("[resolved] web-7: Disk almost full (/), 14:27–16:32\n"), "{text}");
    assert!(text.contains("Was firing from 2026-11-24 14:27 +01:00 to 2026-11-24 16:32 +01:00."), "{text}");
    assert!(text.contains("\nSent 14 min late.\n"), "{text}");

    let mut notice = sample_notices(Sample::Firing, NOW).remove(0);
    notice.transition = Transition::Escalated;
    notice.occurrences = 3;
    let text = written(&message(Language::English, vec![notice.clone()]));
    assert!(
        text.contains("The severity is now critical.") && text.contains("It has fired 3 times."),
        "{text}"
    );
    notice.transition = Transition::Repeat;
    notice.is_flapping = true;
    let text = written(&message(Language::English, vec![notice]));
    assert!(
        text.contains("Still firing after 2 h 5 min.") && text.contains("Flapping: it has fired"),
        "{text}"
    );
}

#[test]
fn an_outage_names_its_members_and_what_is_unknown_is_said_somehow() {
    let mut notice = sample_notices(Sample::Firing, NOW).remove(0);
    notice.agent = None;
    notice.series = None;
    notice.value = None;
    notice.target = "fleet".to_owned();
    notice.subject = Subject { key: "fleetOutage".to_owned(), ..Subject::default() };
    notice.details = json!({"away": 60, "members": 62, "of": 70, "since": NOW, "names": ["a", "b", "c"]});
    let text = written(&message(Language::English, vec![notice.clone()]));
    assert!(text.starts_with("[critical] the fleet: many agents went offline at once\n"), "{text}");
    assert!(text.contains("60 agents: a, b, c … and 57 more."), "{text}");

    notice.subject.key = "somethingNew".to_owned();
    notice.target = "system:somethingNew".to_owned();
    let mut without_url = message(Language::English, vec![notice]);
    without_url.public_url = String::new();
    let text = written(&without_url);
    assert!(text.starts_with("[critical] Pika: Disk space\n"), "{text}");
    assert!(text.ends_with("No link: server.public_url is not set."), "{text}");
}

#[test]
fn a_disk_that_fills_has_the_day_on_which_it_is_full() {
    let mut notice = sample_notices(Sample::Firing, NOW).remove(0);
    notice.subject = Subject { key: "fullWithin".to_owned(), ..Subject::default() };
    (notice.value, notice.unit) = (Some(2.1), "days".to_owned());
    // Late in the evening in Berlin, and the next day in Shanghai.
    notice.details = json!({"fullAt": NOW + 2 * 86_400_000 + 7 * 3_600_000});
    let text = written(&message(Language::English, vec![notice.clone()]));
    assert!(text.starts_with("[critical] web-7: / will be full in 2.1 days\n"), "{text}");
    assert!(text.contains("\nAt this rate it is full on 2026-11-26.\n"), "{text}");
    let zh = written(&message(Language::Chinese, vec![notice]));
    assert!(zh.contains("\n按此速度将于 2026-11-27 写满。\n"), "{zh}");
}

#[test]
fn pikas_own_health_is_told_in_words() {
    let mut notice = sample_notices(Sample::Resolved, NOW).remove(0);
    (notice.agent, notice.series, notice.peak_value) = (None, None, None);
    (notice.is_unseen, notice.rule_name) = (true, "Database away".to_owned());
    notice.target = "system:databaseAway".to_owned();
    notice.subject = Subject { key: "databaseAway".to_owned(), ..Subject::default() };
    assert_eq!(
        written(&message(Language::English, vec![notice.clone()])),
        "[resolved] Pika: Database unavailable, 14:27–16:32\n---\n\
         Database unavailable: Pika.\n\
         Was firing from 2026-11-24 14:27 +01:00 to 2026-11-24 16:32 +01:00.\n\
         Rule: Database away.\n\
         Open in Pika: https://pika.example.org/#/alerts/01935f00-0000-7000-8000-000000000001"
    );
    let zh = written(&message(Language::Chinese, vec![notice.clone()]));
    assert!(zh.starts_with("[恢复] Pika：数据库不可用，21:27–23:32\n"), "{zh}");
    notice.transition = Transition::Firing;
    notice.subject.key = "channelFailing".to_owned();
    notice.series = Some("ops".to_owned());
    let text = written(&message(Language::English, vec![notice]));
    assert!(
        text.starts_with(
            "[critical] Pika: channel ops cannot be notified\n---\nChannel failing (ops): Pika.\n"
        ),
        "{text}"
    );
}

#[test]
fn names_are_made_harmless() {
    let mut notice = sample_notices(Sample::Firing, NOW).remove(0);
    if let Some(agent) = &mut notice.agent {
        agent.name = format!("a\r\nBcc: x\u{202e}\u{200b}{}", "y".repeat(300));
    }
    notice.series = Some("{value}\n{rule}".to_owned());
    let text = written(&message(Language::English, vec![notice]));
    let title = text.lines().next().unwrap();
    assert!(title.starts_with("[critical] a  Bcc: xyyy") && title.contains("…: "), "{title}");
    assert!(title.contains("{value} {rule}") && !title.contains('\u{202e}'), "{title}");
}

#[test]
fn a_test_says_that_nothing_is_wrong() {
    let mut test = message(Language::English, vec![test_notice(Uuid::from_u128(1), Transition::Firing, NOW)]);
    test.is_test = true;
    assert_eq!(
        written(&test),
        "[test] [info] Pika: test message\n---\n\
         This is a test of the channel ops. Nothing is wrong.\n\
         Open in Pika: https://pika.example.org/#/alerts"
    );
}

#[test]
fn the_payload_is_a_promise() {
    let catalogue = Catalogue::load().unwrap();
    let message = message(Language::English, sample_notices(Sample::Firing, NOW));
    let payload = payload(&catalogue, &message, 100);
    assert_eq!(payload["version"], "pika.alerts/1");
    assert_eq!(payload["key"], "00000000-0000-0000-0000-000000000007");
    assert_eq!(payload["alerts"][0]["agent"]["name"], "web-7");
    assert_eq!(payload["alerts"][0]["value"], 95.6);
    assert_eq!(payload["truncated"], false);
    let fields: Vec<_> = payload["alerts"][0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        [
            "id",
            "status",
            "transition",
            "severity",
            "rule",
            "condition",
            "summary",
            "agent",
            "series",
            "target",
            "value",
            "unit",
            "threshold",
            "recoveryThreshold",
            "startedAt",
            "firedAt",
            "endedAt",
            "endReason",
            "peakValue",
            "peakAt",
            "occurrences",
            "link",
            "runbookUrl"
        ]
    );
}
