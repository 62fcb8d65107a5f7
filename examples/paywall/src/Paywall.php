<?php

declare(strict_types=1);

/** Asks whether a reader may see a page: the two calls of the Resource Access API. */
final class Paywall
{
    public function __construct(
        private readonly string $url,
        private readonly string $accessKey,
        private readonly string $secret,
    ) {
    }

    /** For a reader who is known by the token in the cookie, or not yet known: an empty one. */
    public function access(string $resourceKey, string $pageUrl, string $ip, string $userToken): Access
    {
        return $this->ask("/api/Resource/{$this->accessKey}/$resourceKey", [
            'IP' => $ip,
            'ResourceURL' => $pageUrl,
            'UserToken' => $userToken,
        ]);
    }

    /** For whoever came with a token that counts once: a reader who has paid, or the spider. */
    public function accessOnce(string $resourceKey, string $pageUrl, string $ip, string $token): Access
    {
        return $this->ask("/api/TemporaryUserToken/{$this->accessKey}/" . rawurlencode($token), [
            'IP' => $ip,
            'ResourceKey' => $resourceKey,
            'ResourceURL' => $pageUrl,
        ]);
    }

    private function ask(string $path, array $query): Access
    {
        $timestamp = gmdate('D, d M Y H:i:s \G\M\T');
        ksort($query);
        $pairs = [];
        foreach ($query as $name => $value) {
            $pairs[] = strtolower($name) . '=' . strtolower($value);
        }
        $signed = "GET\n$timestamp\n" . strtolower($path) . "\n" . implode('&', $pairs);
        $signature = base64_encode(hash_hmac('sha256', $signed, $this->secret, true));
        $answer = @file_get_contents("$this->url$path?" . http_build_query($query), false, stream_context_create([
            'http' => [
                'header' => [
                    "Timestamp: $timestamp",
                    "Authentication: $this->accessKey:$signature",
                    'Accept: application/json',
                ],
                'timeout' => 5,
                'follow_location' => 0,
            ],
        ]));
        if ($answer === false) {
            throw new RuntimeException('the paywall did not answer: ' . (error_get_last()['message'] ?? ''));
        }
        return new Access(json_decode($answer, true, 16, JSON_THROW_ON_ERROR));
    }
}
