### English: what people read of the crates contract, runtime, fields and checks.
### ko.ftl has the same keys in the same order. CONTRIBUTING.md says how to add or change a text.

## Several crates

is-not-valid-header-name = is not a valid header name
missing-field = missing field
must-be-at-most-kib = must be at most { $kib } KiB
must-be-json-object = must be a JSON object
must-be-one-of = must be one of { $known }
must-be-positive-integer = must be a positive integer
must-have-characters = must have { $from } to { $to } characters, none of them a control character

## Why a check failed

failure-timed-out = Timed out
failure-dns = DNS lookup failed
failure-connect = Could not connect
failure-tls = Secure connection failed
failure-status = Returned an error
failure-assertion = Unexpected response
failure-certificate = Certificate expires soon
failure-blocked-address = Address not allowed
failure-protocol = Connection lost
failure-settings = Settings could not be read
failure-not-completed = Check not completed
failure-other = Failed

## Every function

you-are-not-logged-in = You are not logged in.
permission-denied = Permission denied.
not-found = Not found.
some-fields-are-invalid = Some fields are invalid.
internal-error = Something went wrong on our side.
not-available-now = This is not available right now. Please try again.
not-a-cloudevent = This is not a CloudEvent: { $why }.
body-must-be-json = The body must be JSON, with Content-Type: application/json.
body-is-too-large = The body is too large.
body-broke-off = The body broke off.
nested-too-deep = must not be nested more than { $max } levels deep
is-invalid = { $what }
malformed-json = { $what }
query-must-not-hold-nul = The query must not hold NUL characters.
query-must-be-utf-8 = The query must be UTF-8.
must-be-visible-ascii = must be 1 to 200 visible ASCII characters
must-be-from-to = must be from { $from } to { $to }
method-not-allowed = This path does not have that method.

## Fields of every request

must-be-visible = must have a character that can be seen

## Fields of configs

must-be-true-or-false = must be true or false
must-be-a-whole-number-from-to = must be a whole number from { $min } to { $max }
must-be-string = must be a string
must-hold-addresses = must hold 1 to { $max } addresses
must-be-email-address = must be an email address
must-be-headers = must be an object with at most { $max } headers
is-there-twice = is there twice
must-not-contain-newlines = must not contain newlines or other control characters
cannot-be-set = cannot be set
is-not-valid-host = is not a valid host
must-have-at-most-characters = must have at most { $max } characters
must-be-http-url = must be an http or https URL with a host
must-not-hold-credentials = must not hold a user name or password
unknown-field-there-are-none = unknown field: this kind has none
unknown-field = unknown field: there is { $known }
must-be-given-in-full = must be given in full: this is what was masked

## Checks

must-be-one-of-for-fact = must be one of { $known } for the fact `{ $fact }`
does-not-belong-to-fact = does not belong to the fact `{ $fact }`
must-be-absent = must be absent: whether there is one is all that is asked
must-be-regular-expression = must be a regular expression
must-be-number = must be a number
must-be-scalar = must be a string, number, boolean or null for `contains` and `not_contains`
must-not-be-empty = must not be empty
must-be-string-or-number = must be a string or a number
must-be-at-most-characters = must be at most { $max } characters
json-path-is-too-complex = is too complex: at most one `..`, two filters, three commas and 16 nested brackets; within a filter neither `..` nor `$`, and comparisons with a literal only
is-not-jsonpath = is not a JSONPath: { $error }
is-not-of-the-kind = is not of the kind { $kind }
regex-is-too-complex = is too complex: use fewer or smaller repetitions
is-not-regular-expression = is not a regular expression: { $reason }
timeout-must-be-from-to = must be from 100 to 60000
must-be-at-most-5 = must be at most 5
must-be-at-most-20-assertions = must be at most 20 assertions
patterns-are-too-complex = is too complex together with the patterns before it
must-not-contain-control-characters = must not contain control characters
# Only here: $error
is-not-a-url = is not a URL: { $error }
must-begin-with-for-kind = must begin with { $known } for the kind { $kind }
must-have-host = must have a host
must-begin-with-http-or-https = must begin with http:// or https://
must-not-have-port-0 = must not have port 0
at-most-status-ranges = at most { $max } status ranges
range-is-the-wrong-way-round = `{ $part }` is the wrong way round
is-no-status-range = `{ $part }` is no status range: expected codes from 100 to 999, such as `200-299,301`

## Facts

fact-total = Total time (ms)
fact-dns = DNS (ms)
fact-connect = Connect (ms)
fact-ip = IP address
fact-tls = TLS (ms)
fact-certificate-days-left = Days until the certificate expires
fact-first-byte = First byte (ms)
fact-transfer = Transfer (ms)

## Messages: what an alert says

message-down-subject = [down] { $name }: { $why }
message-down = { $name } is down.
message-does-not-work = it does not work
message-up-subject = [up] { $name }: is back
message-up-after-subject = [up] { $name }: is back after { $lasted }
message-up = { $name } is up again.
message-degraded-subject = [degraded] { $name }: { $why }
message-degraded = { $name } is degraded.
message-works-badly = it does not work as it should
message-not-degraded-subject = [up] { $name }: is not degraded any more
message-not-degraded = { $name } is not degraded any more.
message-test-subject = [test] { $name }: this channel works
message-test = This is a test message: you will be told here.
message-one-change = 1 change
message-changes = { $count } changes
message-untold-subject = [more] { $name }: { $changes } not told one by one
message-untold = Too many messages wait for this channel: { $changes } of other endpoints are not told one by one.
message-unknown-subject = [news] { $name }
message-unknown = There is news of { $name } that this version of pongpong cannot describe.
message-region = Region { $region }
message-region-some = { $failing } of your { $endpoints } endpoints there
message-region-recovered-subject = [recovered] { $name } works again
message-region-recovered = { $name } works again. None of your { $endpoints } endpoints there is failing.
message-region-recovered-but = { $name } works again. { $some } still fail. You get an alert for each that keeps failing.
message-region-still-failing-subject = [still failing] { $name }: { $some } still fail
message-region-still-failing = { $name }: { $some } have failed for more than { $minutes } minutes. Alerts are no longer held: you get one for each endpoint.
message-region-outage-subject = [region outage] { $name }: { $some } began to fail at once
message-region-outage = { $name }: { $some } began to fail at once, so the region itself probably has a problem. Their alerts are held for at most { $minutes } minutes. You get a message when it is over.
message-endpoint = Endpoint
message-why = Why
message-why-of-code = { $message } ({ $code })
message-down-since = Down since
message-since = Since
message-back-at = Back at
message-was-down-for = Was down for
message-not-told-in-time = Not told in time
message-told-late = { $what } at { $time }
message-told-late-why = { $what } at { $time }: { $why }
message-details = Details
message-unsubscribe = Unsubscribe

## Messages: kinds of alerts, in a list

alert-down = down
alert-up = up
alert-degraded = degraded
alert-not-degraded = not degraded
alert-test = test
alert-region-outage = region outage
alert-region-recovered = region recovered
alert-region-still-failing = region still failing
alert-untold = untold
alert-other = other

## Messages: how long something lasted

lasted-day = { $count } day
lasted-days = { $count } days
lasted-hour = { $count } hour
lasted-hours = { $count } hours
lasted-minute = { $count } minute
lasted-minutes = { $count } minutes
lasted-second = { $count } second
lasted-seconds = { $count } seconds
