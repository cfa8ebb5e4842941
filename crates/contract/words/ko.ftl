### Korean: what people read of the crates contract, runtime, fields and checks.
### en.ftl has the same keys in the same order. CONTRIBUTING.md says how to add or change a text.

## Several crates

is-not-valid-header-name = 올바른 헤더 이름이 아닙니다
missing-field = 필수 항목입니다
must-be-at-most-kib = 최대 { $kib } KiB까지 가능합니다
must-be-json-object = JSON 객체여야 합니다
must-be-one-of = { $known } 중 하나여야 합니다
must-be-positive-integer = 양의 정수여야 합니다
must-have-characters = 제어 문자 없이 { $from }자 이상 { $to }자 이하여야 합니다

## Why a check failed

failure-timed-out = 응답 시간 초과
failure-dns = DNS 조회 실패
failure-connect = 연결 실패
failure-tls = 보안 연결 실패
failure-status = 오류 응답
failure-assertion = 예상과 다른 응답
failure-certificate = 인증서 만료 임박
failure-blocked-address = 허용되지 않은 주소
failure-protocol = 연결 끊김
failure-settings = 설정을 읽을 수 없음
failure-not-completed = 체크하지 못함
failure-other = 실패

## Every function

you-are-not-logged-in = 로그인이 필요합니다.
permission-denied = 권한이 없습니다.
not-found = 찾을 수 없습니다.
some-fields-are-invalid = 입력값이 올바르지 않습니다.
internal-error = 서버에 문제가 생겼습니다.
not-available-now = 지금은 사용할 수 없습니다. 다시 시도해 주세요.
not-a-cloudevent = This is not a CloudEvent: { $why }.
body-must-be-json = 본문은 JSON이어야 합니다 (Content-Type: application/json).
body-is-too-large = 본문이 너무 큽니다.
body-broke-off = 본문이 중간에 끊겼습니다.
nested-too-deep = 중첩은 { $max }단계까지 가능합니다
is-invalid = 올바르지 않습니다: { $what }
malformed-json = JSON이 올바르지 않습니다: { $what }
query-must-not-hold-nul = 쿼리에 NUL 문자를 쓸 수 없습니다.
query-must-be-utf-8 = 쿼리는 UTF-8이어야 합니다.
must-be-visible-ascii = 1~200자의 ASCII 문자여야 합니다
must-be-from-to = { $from } 이상 { $to } 이하여야 합니다
method-not-allowed = 이 경로에서 지원하지 않는 메서드입니다.

## Fields of every request

must-be-visible = 눈에 보이는 글자가 있어야 합니다

## Fields of configs

must-be-true-or-false = true 또는 false여야 합니다
must-be-a-whole-number-from-to = { $min } 이상 { $max } 이하의 정수여야 합니다
must-be-string = 문자열이어야 합니다
must-hold-addresses = 1개 이상 { $max }개 이하의 주소여야 합니다
must-be-email-address = 이메일 주소여야 합니다
must-be-headers = 헤더가 { $max }개 이하인 객체여야 합니다
is-there-twice = 중복됩니다
must-not-contain-newlines = 줄바꿈이나 다른 제어 문자를 포함할 수 없습니다
cannot-be-set = 설정할 수 없는 헤더입니다
is-not-valid-host = 올바른 호스트가 아닙니다
must-have-at-most-characters = 최대 { $max }자까지 가능합니다
must-be-http-url = 호스트가 있는 http 또는 https URL이어야 합니다
must-not-hold-credentials = 사용자 이름이나 비밀번호를 포함할 수 없습니다
unknown-field-there-are-none = 알 수 없는 항목입니다. 이 종류에는 설정이 없습니다
unknown-field = 알 수 없는 항목입니다. 가능한 항목: { $known }
must-be-given-in-full = 가려진 값이 아니라 전체 값을 입력해야 합니다

## Checks

must-be-one-of-for-fact = `{ $fact }` 항목에는 { $known } 중 하나여야 합니다
does-not-belong-to-fact = `{ $fact }` 항목에는 쓸 수 없습니다
must-be-absent = 이 비교에는 값을 지정할 수 없습니다
must-be-regular-expression = 정규식이어야 합니다
must-be-number = 숫자여야 합니다
must-be-scalar = `contains`와 `not_contains`에는 문자열, 숫자, 참/거짓 또는 null이어야 합니다
must-not-be-empty = 비어 있을 수 없습니다
must-be-string-or-number = 문자열이나 숫자여야 합니다
must-be-at-most-characters = 최대 { $max }자까지 가능합니다
json-path-is-too-complex = 너무 복잡합니다. `..`은 1개, 필터는 2개, 쉼표는 3개, 괄호 중첩은 16단계까지이며 필터 안에는 `..`과 `$`를 쓸 수 없고 리터럴과만 비교할 수 있습니다
is-not-jsonpath = 올바른 JSONPath가 아닙니다: { $error }
is-not-of-the-kind = { $kind } 종류의 설정이 아닙니다
regex-is-too-complex = 너무 복잡합니다. 반복을 줄여 주세요
is-not-regular-expression = 올바른 정규식이 아닙니다: { $reason }
timeout-must-be-from-to = 100에서 60000 사이여야 합니다
must-be-at-most-5 = 최대 5까지 가능합니다
must-be-at-most-20-assertions = 검증 조건은 최대 20개까지 가능합니다
patterns-are-too-complex = 앞의 정규식과 합쳐 너무 복잡합니다
must-not-contain-control-characters = 제어 문자를 포함할 수 없습니다
is-not-a-url = 올바른 URL이 아닙니다
must-begin-with-for-kind = { $kind } 종류의 주소는 다음으로 시작해야 합니다: { $known }
must-have-host = 호스트가 있어야 합니다
must-begin-with-http-or-https = http:// 또는 https://로 시작해야 합니다
must-not-have-port-0 = 포트 0은 사용할 수 없습니다
at-most-status-ranges = 상태 코드 범위는 최대 { $max }개입니다
range-is-the-wrong-way-round = `{ $part }` 범위의 앞뒤가 바뀌었습니다
is-no-status-range = `{ $part }`은(는) 상태 코드 범위가 아닙니다. 100부터 999까지, 예: `200-299,301`

## Facts

fact-total = 전체 시간 (ms)
fact-dns = DNS (ms)
fact-connect = 연결 (ms)
fact-ip = IP 주소
fact-tls = TLS (ms)
fact-certificate-days-left = 인증서 만료까지 남은 일수
fact-first-byte = 첫 바이트 (ms)
fact-transfer = 전송 (ms)

## Messages: what an alert says

message-down-subject = [장애] { $name }: { $why }
message-down = { $name }에 장애가 발생했습니다.
message-does-not-work = 작동하지 않습니다
message-up-subject = [복구] { $name }: 복구되었습니다
message-up-after-subject = [복구] { $name }: { $lasted } 만에 복구되었습니다
message-up = { $name }이(가) 복구되었습니다.
message-degraded-subject = [주의] { $name }: { $why }
message-degraded = { $name }에 주의가 필요합니다.
message-works-badly = 정상적으로 작동하지 않습니다
message-not-degraded-subject = [정상] { $name }: 주의 상태가 끝났습니다
message-not-degraded = { $name }의 주의 상태가 끝났습니다.
message-test-subject = [테스트] { $name }: 이 채널로 알림을 받습니다
message-test = 테스트 메시지입니다. 앞으로 알림이 여기로 옵니다.
message-one-change = 변경 1건
message-changes = 변경 { $count }건
message-untold-subject = [추가] { $name }: { $changes }은 따로 알리지 않습니다
message-untold = 이 채널로 보낼 메시지가 너무 많습니다. 다른 엔드포인트의 { $changes }은 따로 알리지 않습니다.
message-unknown-subject = [소식] { $name }
message-unknown = 이 버전의 pongpong이 설명할 수 없는 { $name }의 소식이 있습니다.
message-region = 리전 { $region }
message-region-some = 엔드포인트 { $endpoints }개 중 { $failing }개
message-region-recovered-subject = [복구] { $name }이(가) 다시 작동합니다
message-region-recovered = { $name }이(가) 다시 작동합니다. 이 리전의 엔드포인트 { $endpoints }개 중 실패하는 것은 없습니다.
message-region-recovered-but = { $name }이(가) 다시 작동합니다. { $some }는 아직 실패하고 있으며, 계속 실패하면 각각 알려 드립니다.
message-region-still-failing-subject = [계속 실패] { $name }: { $some }가 계속 실패합니다
message-region-still-failing = { $name }: { $some }가 { $minutes }분 넘게 실패하고 있습니다. 이제 알림을 보류하지 않고 각각 알려 드립니다.
message-region-outage-subject = [리전 장애] { $name }: { $some }가 한꺼번에 실패하기 시작했습니다
message-region-outage = { $name }: { $some }가 한꺼번에 실패하기 시작했습니다. 리전 자체의 문제일 가능성이 커 최대 { $minutes }분 동안 알림을 보류합니다. 끝나면 알려 드립니다.
message-endpoint = 엔드포인트
message-why = 원인
message-why-of-code = { $message } ({ $code })
message-down-since = 장애 시작
message-since = 시작
message-back-at = 복구
message-was-down-for = 장애 시간
message-not-told-in-time = 제때 알리지 못한 변경
message-told-late = { $time } { $what }
message-told-late-why = { $time } { $what }: { $why }
message-details = 자세히
message-unsubscribe = 구독 해지

## Messages: kinds of alerts, in a list

alert-down = 장애
alert-up = 복구
alert-degraded = 주의
alert-not-degraded = 주의 끝
alert-test = 테스트
alert-region-outage = 리전 장애
alert-region-recovered = 리전 복구
alert-region-still-failing = 리전 계속 실패
alert-untold = 알리지 않은 변경
alert-other = 기타

## Messages: how long something lasted

lasted-day = { $count }일
lasted-days = { $count }일
lasted-hour = { $count }시간
lasted-hours = { $count }시간
lasted-minute = { $count }분
lasted-minutes = { $count }분
lasted-second = { $count }초
lasted-seconds = { $count }초
