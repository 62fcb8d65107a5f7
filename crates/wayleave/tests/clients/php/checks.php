<?php

declare(strict_types=1);

/**
 * What the scripts beside this file share: the contract file, checks, and the operator's calls.
 *
 * Each is run as `php SCRIPT.php FOLDER PATH/demo.json`, where FOLDER has the client, checks both
 * environments, prints one line for each check, and exits with 0 only if all of them passed.
 */

if ($argc !== 3) {
    exit("usage: php {$argv[0]} FOLDER PATH/demo.json\n");
}
if (!extension_loaded('curl')) {
    exit("the client needs PHP's curl (on Debian: apt-get install php-curl)\n");
}
// The clients are of 2015 and 2016: what PHP has deprecated since is not our subject.
error_reporting(E_ALL & ~E_DEPRECATED);

$failures = 0;

/** One check; `$detail` is shown when it failed and must hold no secret. */
function check(string $name, bool $passed, string $detail = ''): void
{
    global $failures;
    if ($passed) {
        echo "ok {$name}\n";
    } else {
        $failures++;
        echo "FAILED {$name}: {$detail}\n";
    }
}

/** A check that two values are the same, of the same type. */
function same(string $name, mixed $actual, mixed $wanted): void
{
    check($name, $actual === $wanted, 'got ' . var_export($actual, true) . ', wanted ' . var_export($wanted, true));
}

/** A check that `$call` throws an exception of this class and code, with `$within` in its message. */
function throws(string $name, string $class, int $code, callable $call, string $within = ''): void
{
    try {
        $call();
    } catch (Throwable $thrown) {
        $fits = get_class($thrown) === $class && $thrown->getCode() === $code
            && str_contains($thrown->getMessage(), $within);
        $got = get_class($thrown) . " {$thrown->getCode()} {$thrown->getMessage()}";
        check($name, $fits, "got {$got}, wanted {$class} {$code} with {$within}");
        return;
    }
    check($name, false, "got an answer, wanted {$class}");
}

/** Ends the script with the verdict. */
function finish(): never
{
    global $failures;
    echo $failures === 0 ? "all checks passed\n" : "{$failures} checks failed\n";
    exit($failures === 0 ? 0 : 1);
}

/** The contract file. */
function demo(string $path): array
{
    $demo = json_decode((string) file_get_contents($path), true, 512, JSON_THROW_ON_ERROR);
    if ($demo['version'] !== 1) {
        exit("{$path} is version {$demo['version']}; this script reads version 1\n");
    }
    return $demo;
}

/** The operator's calls about one property, which its readers' pages will make one day. */
final class Operator
{
    public function __construct(
        private readonly string $url,
        private readonly string $token,
        private readonly string $environment,
        private readonly string $property,
    ) {
    }

    /** What is answered to a call below the property; `$body` makes it a POST. */
    public function call(string $rest, ?array $body = null): array
    {
        $http = [
            'method' => $body === null ? 'GET' : 'POST',
            'header' => ["Authorization: Bearer {$this->token}", 'Content-Type: application/json'],
            'content' => $body === null ? '' : json_encode((object) $body),
            'ignore_errors' => true,
        ];
        $address = "{$this->url}/{$this->environment}/v1/properties/{$this->property}{$rest}";
        $answer = file_get_contents($address, false, stream_context_create(['http' => $http]));
        if (preg_match('/^HTTP\S+ 20[01] /', $http_response_header[0]) !== 1) {
            throw new RuntimeException("{$rest}: {$http_response_header[0]} {$answer}");
        }
        return json_decode($answer, true, 512, JSON_THROW_ON_ERROR);
    }

    /** Changes the settings of the property. */
    public function settings(array $members): void
    {
        $this->call('/change-settings', $members);
    }
}
