### English: what people read of the functions, in API messages, mails and pages.
### ko.ftl has the same keys in the same order. CONTRIBUTING.md says how to add or change a text.

## API messages: several resources

must-have-bytes = must have 1 to { $max } bytes
must-hold-at-most-ids = must hold at most { $max } ids
no-such-endpoint = there is no endpoint { $id }
no-such-event = This function takes no such event.

## API messages: users

too-many-keys = You have too many keys. Delete one first.
wrong-email-or-password = The e-mail address or the password is wrong.
must-be-e-mail-address = must be an e-mail address
must-be-a-password = must have at least 8 characters, and at most 1024 bytes
must-be-time-zone = must be an IANA time zone, such as Asia/Seoul
email-is-taken = This e-mail address is taken.
must-be-your-current-password = must be your current password
too-many-passwords-at-once = Too many passwords are being checked for you at once. Try again in a second.
token-is-unknown-used-or-expired = is unknown, used, or expired
too-many-wrong-passwords = Too many wrong passwords for this account. Try again in { $minutes } minutes, log in from where you logged in before, or set a new password with a link by mail.
nothing-to-change = nothing to change
password-changed-keys-left = The password is changed, but your other keys could not be ended. Please change it again.
too-many-address-changes = The e-mail address can be changed { $max } times in 48 hours.

## API messages: endpoints

must-be-within-ten-minutes = must be at most ten minutes ahead
must-hold-at-most = must be at most { $max }
must-begin-with = must begin with { $known }
secrets-cannot-be-opened = holds secrets that cannot be opened any more: give them again
# Only here: $count
too-many-endpoints = You have { $count } endpoints; { $max } are allowed.
must-have-at-most-characters = must have at most { $max } characters
must-be-in-future = must be in the future
too-many-maintenances = You have { $max } maintenances that are not over.
maintenance-must-end-after-start = must be after `starts_at`
must-end-within-90-days = must be at most 90 days after `starts_at`
maintenance-is-over = it is over: plan another one
must-be-at-most-1000-ids = must be at most 1000 ids with commas between them
too-many-settings-bytes = Configs and assertions of your endpoints come to { $stored } bytes; { $max } are allowed. Shorten them.
too-many-check-bytes = Configs and assertions of your checks come to { $per_minute } bytes a minute; { $max } are allowed. Shorten them, or check less often.
paused-not-checked = Paused: it is not checked.
down-since = Down since { $since }.
waiting-for-first-check = Waiting for the first check.
waiting-for-first-check-since-change = The settings or a maintenance changed: waiting for the first check since then.
in-maintenance = In maintenance: results of checks do not count.
last-check-degraded = The last check succeeded, but: { $message }.
last-check-succeeded = The last check succeeded.
last-check-succeeded-not-up-yet = The last check succeeded; it is up after { $needed } successful checks in a row.
last-check-failed = The last check failed: { $message }.
failed-in-a-row = Failed checks in a row: { $failures }; down after { $threshold }.
alert-is-withheld = Failed checks in a row: { $failures }. The alert is withheld, because most endpoints became unreachable from region { $region } at once.
last-check-missed-too-many-running = The last check was missed: too many others were running to make it before the next one was due.
last-check-missed-requested-too-late = The last check was missed: its request arrived after the next one was due.
last-check-missed-unreadable-settings = The last check was missed: the prober could not read the endpoint's settings. Save them again.
last-check-missed-internal-error = The last check was missed because of an internal error of pongpong.
must-be-a-tag = must have 1 to 50 letters, digits, or any of - _ . : /
tries-take-too-long = all tries together may take at most 120 seconds

## API messages: checks

has-no-public-address = has no address on the public internet; private addresses are not allowed here
give-either-endpoint-id-or-url = give either endpoint_id or url
must-hold-at-most-checks = must hold at most { $max } checks

## API messages: reports

is-not-possible-time = is not a possible time
too-many-metrics-at-once = Too many answers with your metrics are under way at once. Try again in a second.
must-be-a-date = must be a date (2026-03-01) or a date-time (2026-03-01T12:00:00Z)
must-be-before-to = must be before `to`
must-be-a-time-zone = must be a time zone (Asia/Seoul)
must-be-1-to-100-ids = must be 1 to 100 ids with commas between them
is-in-future = is in the future
is-too-far-from-scheduled-at = is too far from scheduled_at

## API messages: notifications

mail-written-to-file = SMTP_URL is not set: the mail was not sent, but written to a file in the outbox folder.
too-many-links-mailed = The link that confirms { $address } was not mailed: too many were mailed today. Test the channel tomorrow to get it.
link-not-mailed = The link that confirms { $address } was not mailed. Test the channel to get it. { $why }
token-is-unknown-or-expired = is unknown or expired
must-be-one-of-kinds = must be one of { $known }
too-many-notifications = You have { $max } notifications already.
this-is-being-sent = This is being sent.
only-failed-is-sent-again = Only a failed delivery can be sent again.
does-not-fit-event-type = does not fit the event's type
must-be-email-addresses = must be 1 to 10 email addresses
kind-cannot-be-changed = cannot be changed: add another notification

## API messages: status pages

too-many-announcements = The page has { $max } announcements already.
must-be-in-this-millennium = must be in this millennium
must-end-after-start = must be after starts_at
no-such-status-page = there is no status page { $id }
too-many-status-pages = You have { $max } status pages already.
must-be-a-slug = must have 3 to 63 of the characters a-z, 0-9 and -, and no - at either end
must-be-at-most-groups = must be at most { $max }
must-have-at-most-endpoints = must have at most { $max } endpoints together
endpoint-is-on-the-page-twice = the endpoint { $id } is on the page twice
slug-is-taken = This address is taken.
changed-meanwhile = It was changed meanwhile. Please try again.

## Mails

confirmation-mail-subject = Confirm your address for pongpong alerts
confirmation-mail =
    A user of pongpong, which watches web services, wants alerts to be mailed to this address.

    If you want them, open this within 7 days, and press the button:
    { $link }

    If you do not, you need do nothing: no alerts are sent.
password-mail-subject = Your pongpong password
password-mail =
    Somebody, hopefully you, asked for a new password at pongpong.

    To set one, open this within an hour:
    { $link }

    If it was not you, nothing has changed, and you need do nothing.
address-mail-subject = Your pongpong address was changed
address-mail =
    The e-mail address of your pongpong account was changed. This was its address before.

    If it was you, you need do nothing.

    If it was not you, open this within 48 hours. It restores this address, ends all keys and sets a new password:
    { $link }

## Pages: several pages

account = Account
actions = Actions
add-channel = Add a channel
add-endpoint = Add an endpoint
add-endpoint-short = Add endpoint
ago = { $length } ago
all-endpoints = All endpoints
api-docs = API docs
at-least-8-characters = At least 8 characters.
average = Average
check-now = Check now
connect = Connect
copy = Copy
delete = Delete
deleted = Deleted.
description-optional = Description (optional)
email = Email
end-now = End now
endpoint = Endpoint
endpoints = Endpoints
failed = Failed
failing = Failing
first-byte = First byte
is-degraded = degraded
is-down = down
is-paused = paused
log-in = Log in
maintenance = Maintenance
name = Name
next-try = next try
no-data = no data
no-endpoints-to-choose = No endpoints yet.
notifications = Notifications
now = now
ongoing = ongoing
# Leads to the page in the other language.
other-language = 한국어
outage = Outage
password = Password
post-announcement = Post announcement
recipient = Recipient
reports = Reports
response-time = Response time
save = Save
saved = Saved.
severity-critical = Critical
severity-info = Info
severity-warning = Warning
sign-up = Sign up
status = Status
status-degraded = Degraded
status-down = Down
status-maintenance = Maintenance
status-pages = Status pages
status-up = Up
switch-theme = Switch theme
theme-hint = Theme: automatic, dark, light
time-range = Time range
title = Title
total = Total
transfer = Transfer
until = until
uptime = Uptime
when = When

## Pages: every page

skip-to-content = Skip to content
main-navigation = Main
log-out = Log out
copied = Copied
something-went-wrong-try-again = Something went wrong. Please try again.
# The browser puts the time in.
not-responding-last-updated = pongpong is not responding. Last updated at { $time }.
status-paused = Paused
status-unknown = Check not completed
status-pending = Pending
time-zone = Time zone:
cancel = Cancel
phases-of-check = Phases of the check
optional = (optional)
one-per-line = One per line:
masked-hint = Leave the masked value to keep the current secret.
search-endpoints = Search endpoints
find = Find
not-all-are-listed = Not all are listed. Your selection is kept while you search.
move-up = Move up
nothing-found = No results.
selected-endpoints = Selected endpoints
pager-pages = Pages
pager-previous = Previous
pager-next = Next
check-result = Result of the check
nobody-will-be-alerted = Nobody will be alerted: no notification channel is enabled.
alerts-may-not-arrive = Alerts may not arrive: no notification channel has been tested yet.
send-a-test = Send a test
legend-up = 99.9% or more
legend-some = 90% or more
legend-down = below 90%
go-to-dashboard = Go to dashboard
must-be-a-header = must be written as Name: value
header-is-there-twice = is there twice
choose-at-least-one-endpoint = Choose at least one endpoint, or all.
one-endpoint = 1 endpoint
some-endpoints = { $count } endpoints
not-found = Not found
page-not-found = Page not found, or you don't have access.
too-many-requests = Too many requests
wait-and-try-again = Please wait a minute and try again.
not-allowed = Not allowed
currently-unavailable = Currently unavailable
not-responding = pongpong is not responding. Please try again in a moment.
something-went-wrong = Something went wrong
request-was-not-accepted = The request was not accepted.
# 2 failures of the 3 that make an endpoint down.
failing-of = Failing { $failures } of { $threshold }
please-log-in-again = Please log in again.
form-is-too-large = The form is too large or incomplete.
form-has-expired = This form has expired. Go back, reload the page, and send it again.
form-cannot-be-read = The form could not be read.

## Pages: times, bars and charts

checks-up = { $up } of { $checks } checks up
# Up to length-in-seconds: as short as possible.
range-of-hours = { $hours }h
range-of-days = { $days }d
length-in-days = { $count } d
length-in-hours = { $count } h
length-in-minutes = { $count } min
length-in-seconds = { $count } s
no-checks = no checks
average-of = average { $time }
bar-no-checks-yet = No checks yet
bar-summary = Uptime { $uptime }: of { $count } periods { $failing } with failures, { $silent } without checks; outages: { $outages }
down-for = down for { $length }

## Pages: home

home-description = pongpong monitors web services, keeps the history, and alerts you when one goes down and when it recovers.
home-headline = Know before your users do.
home-introduction = pongpong checks your web services on a schedule, keeps the history, and alerts you by email, Slack or webhook when one goes down and when it recovers.
url-to-check = URL to check
sign-up-to-monitor-it = Sign up to monitor it
monitor-this-url = Monitor this URL
home-phases = See where the time goes
home-phases-text = DNS, connect, TLS, first byte, transfer: every check, kept and charted. Assertions on status, headers, body and JSON.
home-alerts = One alert per outage, on time
home-alerts-text = Thresholds against false alarms, one message when it goes down, one when it recovers, and a log of every delivery.
home-status-pages = Public status pages
home-status-pages-text = 90 days of history, announcements, planned maintenance, feeds and badges.
home-serverless = Serverless or on one machine
home-serverless-text = Small functions on Knative behind Kong, or all of them in one program with SQLite.
certificate-until = certificate until { $date }
home-title = Know before your users do

## Pages: sign up, log in, forgotten password

your-first-endpoint = Your first endpoint:
forgot-password-hint = Enter your email address. We'll send you a link to set a new password.
send-link = Send link
set-new-password = Set new password
already-have-account = Already have an account?
forgot-your-password = Forgot your password?
new-here = New here?
back-to-login = Back to login
choose-new-password = Choose a new password
logged-out = Logged out.
link-sent = If this address has an account, we have sent it a link. The link works for an hour.
password-changed-log-in = Password changed. Log in with the new one.

## Pages: endpoints

add-first-endpoint = Add your first endpoint
add-first-endpoint-hint = Enter a URL. We'll check it every minute and show the results here.
start-monitoring = Start monitoring
advanced-options = Advanced options
some-figures-are-missing = Some figures are missing because a part of pongpong is not responding.
by-status = By status
count-all = all
search-by-name-or-url = Search by name or URL
tag = Tag
all-tags = All tags
sort = Sort
search = Search
no-matching-endpoints = No matches
no-matching-endpoints-hint = No endpoints match your filters.
show-all-endpoints = Show all
last-response-time = Last response time
# After a number of endpoints: 3 up.
is-up = up
is-pending = pending
headline-down = { $down } of { $watched } down
headline-degraded = { $degraded } of { $watched } degraded
headline-pending = { $up } of { $watched } up, { $pending } pending
headline-up = All { $watched } are up
headline-paused = All are paused
sort-problems-first = Problems first
# In a list of orders.
sort-by-name = Name
sort-newest-first = Newest first
sort-least-recently-checked = Least recently checked

## Pages: an endpoint

opens-a-new-tab = (opens a new tab)
last-checked = last checked { $ago }
edit = Edit
pause = Pause
resume = Resume
performance = Performance
up-of-checks = { $up } / { $checks } checks
apdex-hint = Apdex, 0 to 1: up to 500 ms is satisfying, up to 2 s is tolerable, failures count as 0.
apdex-target = target: 500 ms
# The longest response time.
max-of = max { $time }
median = median
p95-hint = 95% of checks are faster
p99-hint = 99% of checks are faster
certificate = Certificate
certificate-expired = expired
certificate-days = { $days } days
certificate-expires = until { $date }
figures-cannot-be-shown-now = Figures are currently unavailable.
chart-failed-checks = failed checks
chart-hint = Areas show averages of successful checks.
view-as-table = View as table
response-times = Response times
time = Time
no-results-in-this-period = No results in this period
waiting-for-next-check = Waiting for the next check. This page updates automatically.
endpoint-is-paused = This endpoint is paused.
check-results = Results
filter-results = Filter results
all-results = All
no-failed-checks = No failed checks.
cannot-be-shown-now = Currently unavailable.
outages-of-endpoint = Outages
no-outages-recorded = No outages recorded.
ended-when-paused = ended when paused
cause-unknown = Cause unknown.
badges = Badges
badges-hint = A badge shows status, uptime or response time in a README or on a web page. Anyone with the link can see the name and these figures, nothing else.
create-badges = Create badges
badges-range-hint = Change the range in the URL: 24h, 7d, 30d or 90d.
disable = Disable
disable-badges-hint = The URLs above stop working permanently.
disable-badges = Disable badges
delete-endpoint-hint = It will no longer be checked. Its history, outages and badges are deleted permanently.
checked-at = checked at { $at }
rule-of-one-failure = { $kind } every { $every } · alerts after 1 failure
rule-of-failures = { $kind } every { $every } · alerts after { $failures } consecutive failures
one-assertion = 1 assertion
some-assertions = { $count } assertions
chart-summary = Response times over { $range }: { $checks } checks, { $failed } failed; half of them within { $p50 }, 95 percent within { $p95 }.
monitoring-resumed = Monitoring resumed.
monitoring-paused = Paused. No checks until you resume it.
confirm-delete-endpoint = Delete this endpoint?
endpoint-deleted = Endpoint deleted.
badges-disabled = Badges disabled.
badges-enabled = Badges enabled.

## Pages: the form of an endpoint

not-saved = Not saved. Fix the highlighted fields.
what-to-check = What to check
kind-of-check = Kind of check
name-hint = Defaults to the URL's host name.
tags = Tags
tags-hint = Used to find and group endpoints: shop, production
schedule = Schedule
check-interval = Check interval
check-interval-hint = From 10 to 86400 (one day); 60 = every minute.
# After the input of a number.
unit-seconds = seconds
timeout = Timeout
timeout-hint = For the whole check, in ms (10000 = 10 s).
enabled = Enabled
enabled-hint = When off, checks pause and history is kept.
what-counts-as-up = What counts as up
add-response-assertions = Add response assertions
assertions-hint = What does not hold makes the endpoint down, or degraded. A JSON value is text, or JSON: 42, true, "42".
assertion = Assertion { $number }
fact = Fact
assertion-path-example = $.path or header
assertion-path-label = JSONPath, or name of the header
comparison = Comparison
part-value = value
value = Value
if-it-does-not-hold = If it does not hold
remove-assertion = Remove assertion { $number }
add-assertion = Add assertion
alerting = Alerting
retries = Retries
retries-hint = Immediate retries before a check counts as failed. Default: 1, or 0 if a retry could change something on the server.
unit-times = times
down-after = Down after
down-after-hint = Consecutive failures before you are alerted.
unit-failed-checks = failed checks
up-after = Up after
up-after-hint = Consecutive successes before it counts as up again.
unit-successful-checks = successful checks
alerts-go-to = Alerts go to:
kind-settings = { $kind } settings
add = Add
test = Test
test-hint = Test runs one check with these settings and saves nothing.
choose-a-fact = Choose a fact
must-be-whole-number = must be a whole number
edit-endpoint = Edit the endpoint
checked-just-now = checked just now
# Before an error of an assertion: header: must be ...
part-header = header
part-comparison = comparison
# Between a fact and a value: status equals 200.
comparison-equals = equals
comparison-is-not = is not
comparison-contains = contains
comparison-does-not-contain = does not contain
comparison-matches = matches (regex)
comparison-does-not-match = does not match (regex)
comparison-exists = exists
comparison-does-not-exist = does not exist
endpoint-added = Endpoint added. First check is running.
kind-by-url = By its URL this is a check of the kind { $kind }. Look at its settings, then go on.

## Pages: notification channels

channel-off = Off
send-test = Send test
switch-off = Switch off
switch-on = Switch on
addresses-without-alerts = Addresses that receive no alerts
addresses-without-alerts-hint = Each address must be confirmed by the link mailed to it. “Send test” mails the link again.
test-sent-with-problems = Test sent, with problems:
test-sent = Sent
test-accepted = Test message accepted. Check that it arrived.
test-not-sent = Not sent
response-from-channel = Response from the channel:
shown-only-once = Shown only once
signing-secret-hint = keep it for verifying signatures at your receiver.
change-type = Change type
channel-example = On call
all-endpoints-and-new-ones = All endpoints, including new ones
alert-when-degraded = Also when an endpoint is degraded, for example when a certificate expires soon
alert-about-open-outages = Also alert about endpoints that are down now
delete-channel = Delete this channel
delete-channel-hint = It will stop receiving alerts, and its log will be deleted.
confirm-delete-channel = Delete this channel and its log?
no-alert-channels-yet = No alert channels yet
no-alert-channels-yet-hint = Get an email, Slack message or webhook when an endpoint goes down and recovers.
add-first-channel = Add the first channel
channels = Channels
applies-to = Applies to
state = State
channel-on = On
region-outage = Region outage
recovered = Recovered
still-failing = Still failing
one-more-change = 1 more change
more-changes = { $count } more changes
not-confirmed = not confirmed
unsubscribed = unsubscribed
channel-added-confirm = Channel added. New addresses receive a confirmation link. Alerts are sent once they are confirmed.
channel-added-send-test = Channel added. Send a test to check that it arrives.
channel-enabled = Channel enabled.
channel-disabled = Channel disabled. It receives no alerts.
channel-deleted = Channel deleted.
sending-again = Sending again.

## Pages: delivery log

delivery-log = Delivery log
filter-by-status = Filter by status
all-deliveries = All
delivery-sending = Sending
delivery-delivered = Delivered
delivery-superseded = Superseded
no-deliveries-yet = Nothing sent yet. When an endpoint goes down or recovers, each message is listed here with its result.
no-matching-deliveries = No matching deliveries.
show-all-deliveries = Show all
message = Message
result = Result
delivery-written-to-file = Written to a file
superseded-hint = Covered by a later message, or no longer true.
attempt = attempt { $number }
send-again = Send again

## Pages: confirm an address, unsubscribe

address-confirmed = confirmed. Alerts will be sent there from now on.
each-mail-has-a-link = Each mail has an unsubscribe link.
confirm-address-introduction = A pongpong user wants to send alerts about web services to the address that received this link.
confirm-address-or-close = If you don't want them, close this page. Nothing is sent.
confirm-address-button = Yes, send me alerts
address-unsubscribed = you will receive no more of these mails.
address-subscribed = you will receive these mails again.
unsubscribe-from-all-introduction = Also unsubscribe from all other users of this pongpong, now and in the future:
unsubscribe-from-all = Unsubscribe from all
subscribe-again = Undo: subscribe again
unsubscribe-introduction = These alerts come from one pongpong user. You can unsubscribe from this user, or from everyone.
unsubscribe-from-sender = Unsubscribe from this sender
confirm-address-title = Confirm your address
unsubscribe-title = Unsubscribe
link-is-invalid = This link is invalid or has expired.

## Pages: reports

range-start = From
range-end = To
any-status = Any
show-reports = Show
first-1000-endpoints-hint = The first 1,000 endpoints are listed. Open other endpoints to see their results.
no-endpoints-yet = No endpoints yet
no-endpoints-yet-hint = Add an endpoint, and its results appear here a minute later.
checks = Checks
results-maintenance-included = Results, maintenance included
failed-results = Failed results
outages = Outages
by-day = By day
by-endpoint = By endpoint
summary = Summary
day = Day
no-outages-in-this-period = No outages in this period.
outage-started = Started
outage-ended = Ended
outage-duration = Duration
outage-cause = Cause
status-ongoing = Ongoing
results = Results
download-csv = Download CSV
csv-is-not-whole = The file holds the newest 100,000 results. Choose fewer days to get all.
no-matching-results = No results match. Try other days or another status.
phases = Phases
result-in-maintenance = maintenance

## Pages: maintenance

maintenance-is-past = Past
scheduled = Scheduled
maintenance-example = Database upgrade
maintenance-title-hint = Title and description are shown on status pages.
maintenance-begins = Begins
maintenance-ends = Ends
maintenance-times-hint = 90 days at most. Takes effect within a minute of the start and end.
during-maintenance = During maintenance
during-maintenance-checks = Checks continue, and their results are marked as maintenance.
during-maintenance-alerts = Alerts are muted, and no outage begins or ends.
during-maintenance-uptime = Uptime and response times leave it out.
during-maintenance-outages = If something is still down when maintenance ends, you are alerted then. Outages from before stay open until a check succeeds.
delete-maintenance = Delete this maintenance
delete-maintenance-hint = It is no longer shown. Results already marked as maintenance stay marked.
confirm-delete-maintenance = Delete this maintenance?
schedule-maintenance = Schedule maintenance
maintenance-introduction = During maintenance, checks continue but alerts are muted, and uptime leaves the time out. Your status pages announce it.
no-maintenance-scheduled = No maintenance scheduled
no-maintenance-scheduled-hint = Schedule planned work so nobody gets paged for it.
schedule-first-maintenance = Schedule maintenance
in-progress = In progress
past-maintenance = Past
enter-date-and-time = Enter a date and time, such as 2026-03-01T12:00.
maintenance-scheduled = Scheduled. Takes effect within a minute of the start.
maintenance-ended = Ended. Checks count again within a minute.

## Pages: status pages

view-page = View page
hidden = Hidden
announcements = Announcements
announcements-hint = Tell visitors about an outage or an upcoming change.
status-page-example = Shop
address = Address
slug-hint = a to z, 0 to 9 and -. Leave empty for a random, unguessable address.
status-page-is-public = Public: anyone with the link can view it
endpoints-in-groups = Endpoints in groups
endpoints-in-groups-hint = Only names and status are shown, never URLs.
group = Group { $number }
heading-optional = Heading (optional)
group-example = Website
move-this-group-up = Move this group up
remove-this-group = Remove this group
add-group = Add a group
delete-status-page = Delete this page
delete-status-page-hint = Its address stops working, and its announcements are deleted.
confirm-delete-status-page = Delete this status page?
create-status-page = Create status page
no-status-pages-yet = No status pages yet
no-status-pages-yet-hint = A status page shows anyone with the link how selected endpoints are doing, with 90 days of history, outages and announcements.
create-first-status-page = Create status page
public = Public
announce = Announce
status-page-created = Status page created.
status-page-deleted = Status page deleted.

## Pages: announcements

announcement-example = Payments are slow
text-optional = Text (optional)
severity = Severity
shown-from = Shown from
until-optional = Until (optional)
announcement-end-hint = Without an end, it is shown until you end it.
delete-announcement = Delete this announcement
delete-announcement-hint = It is also removed from the page’s history.
confirm-delete-announcement = Delete this announcement?
announced = Announced.
ended = Ended.

## Pages: a status page in public, and its feeds

as-of = As of
one-service-is-down = One service is down
services-are-down = { $count } services are down
down-for-length = Down for { $length }
since = since
shown-since = Since
services = Services
history-90-days-ago = 90 days ago
response = response
today = today
planned-maintenance = Planned maintenance
history = History
earlier-history = Earlier (last 90 days)
monitored-by = Monitored by
no-incidents = No incidents.
has-recovered = recovered
it-was-down-for = It was down for { $length }. { $cause }.
# A date, as strftime writes it.
date-format = %b %-d, %Y
severity-information = Information
of-checks = { $uptime } of { $checks } checks
service-no-checks-yet = No checks yet
days-without-failures = 90 days: { $uptime } up, no failed checks
days-with-failures = 90 days: { $uptime } up, days with failed checks: { $count }. { $list }
everything-on-this-page = Everything on this page
overall-up = All services are up
overall-degraded = Some services are degraded
overall-partly-down = Some services are down
overall-down = All services are down
overall-maintenance = Maintenance in progress
overall-unknown = No data yet

## Pages: account

member-since = since { $date }
api-keys = API keys
your-new-key = Your new key
your-new-key-hint = Copy it now: it is not shown again. Send it as the header “apikey”.
api-keys-hint = For programs, the command-line client “pong”, and trying requests in the
api-keys-access = A key has full access to your account. Create one for each program.
no-api-keys-yet = No API keys yet. Create one below.
created = Created
expires = Expires
never = never
revoke-key = Revoke key
name-of-new-key = Name of the new key
key-example = laptop
expires-after = Expires after
after-30-days = 30 days
after-90-days = 90 days
after-1-year = 1 year
create-key = Create key
email-hint = Used to log in and to reset a forgotten password. Alerts go to your notification channels.
new-address = New address
current-password = Current password
change-address = Change address
new-password-hint = A new password ends all other sessions and revokes all API keys. You stay logged in here.
new-password = New password
change-password = Change password
language-of-messages = Language of messages
language-of-messages-hint = The language and time zone of alerts, and the language of mails about your account.
language-of-messages-changed = Language and time zone of messages changed.
time-zone-of-messages = Time zone
time-zone-of-messages-hint = An IANA name, such as Asia/Seoul, Europe/Berlin or UTC.
language-and-theme = Language and theme
language-and-theme-hint = Stored in this browser only.
language = Language
english = English
korean = 한국어
theme = Theme
theme-system = System
theme-light = Light
theme-dark = Dark
delete-account = Delete my account
delete-account-hint = All endpoints, results, channels, status pages and keys are deleted permanently.
type-email-to-confirm = Type your email address to confirm
confirm-delete-account = Delete your account and all its data?
delete-account-permanently = Delete my account permanently
email-address-changed = Email address changed.
password-changed = Password changed. All other sessions and API keys have ended.
key-revoked = Key revoked.
not-your-email-address = This is not your email address.
account-deleted = Your account and all its data have been deleted.

## Pages: API documentation

docs-introduction = Everything in pongpong is available through the API: JSON over HTTP, described by OpenAPI.
# One sentence with links, up to docs-authorize.
docs-to-try-requests = To try requests here:
docs-make-a-key = make an API key
docs-authorize = , press “Authorize”, paste the key, then “Try it out” at any operation. The key stays in this page and is gone when you leave it.
# One sentence with links, up to docs-to-get-a-key.
docs-sign-up = Sign up
docs-or = { " " }or{ " " }
docs-log-in = log in
docs-to-get-a-key = { " " }to get a key, and try requests here.
docs-needs-javascript = The interactive reference needs JavaScript. The same is in
docs-reference = Reference
