<?php

declare(strict_types=1);

namespace Platform;

/** Calls the platform API of one environment: knows its addresses, gets tokens and keeps them. */
final class Provider
{
    /** A token is not used in the last seconds of its life. */
    private const SPARE_S = 30;

    private ?string $token = null;
    private int $expiresAt = 0;

    /** $url: of the environment, such as http://127.0.0.1:8081. */
    public function __construct(
        private readonly string $url,
        private readonly string $clientId,
        private readonly string $clientSecret,
        private readonly float $timeoutSeconds = 30.0,
    ) {
    }

    public function tokenAddress(): string
    {
        return rtrim($this->url, '/') . '/authorize/access_token';
    }

    public function address(string $route): string
    {
        return rtrim($this->url, '/') . '/api/' . ltrim($route, '/');
    }

    public function account(): Account
    {
        return Account::from($this->get('user/account'));
    }

    /** @return list<Product> */
    public function products(): array
    {
        return Product::each($this->get('products')['products'] ?? []);
    }

    /** @param list<LineItem> $lines */
    public function validate(array $lines): Order
    {
        return Order::from($this->post('user/cart/validate', ['lineItems' => $lines]));
    }

    /** @param list<LineItem> $lines */
    public function checkout(array $lines, ?string $key = null): Order
    {
        return Order::from($this->post('user/checkout', ['lineItems' => $lines], $key));
    }

    public function process(Order $order, bool $autoPay, ?string $hook = null, ?string $key = null): Order
    {
        $fields = ['autoPay' => (int) $autoPay, 'webHookUrl' => $hook];
        return Order::from($this->post("shop/processquote/{$order->orderId}", $fields, $key));
    }

    public function order(int $orderId): ?Order
    {
        return Order::each($this->get('user/orders', ['orderId' => $orderId]))[0] ?? null;
    }

    /** @return list<Order> */
    public function orders(int $start = 0, int $length = 50): array
    {
        return Order::each($this->get('user/orders', ['start' => $start, 'length' => $length]));
    }

    /**
     * @param array<string, string|int> $search such as ['accountName' => 'pier1']
     * @return list<Instance>
     */
    public function instances(array $search = [], ?string $companyApiRef = null): array
    {
        return Instance::each($this->get('cloud', self::question($search, $companyApiRef)));
    }

    public function instance(string $accountName): ?Instance
    {
        return $this->instances(['accountName' => $accountName])[0] ?? null;
    }

    /** @return list<Region> */
    public function regions(): array
    {
        return Region::each($this->get('cloud/region'));
    }

    /** @return list<Domain> */
    public function domains(): array
    {
        return Domain::each($this->get('cloud/domain'));
    }

    /** @return list<Theme> */
    public function themes(): array
    {
        return Theme::each($this->get('theme'));
    }

    public function upgrade(Instance $instance, int $cmsVersionId): Instance
    {
        $fields = ['cmsVersionId' => $cmsVersionId];
        return Instance::from($this->post("cloud/upgrade/{$instance->hostingId}", $fields));
    }

    public function renewNow(Instance $instance): Order
    {
        return Order::from($this->call('PUT', "cloud/renewNow/{$instance->hostingId}"));
    }

    public function deleteNow(Instance $instance): void
    {
        $name = rawurlencode($instance->accountName);
        $this->call('DELETE', "cloud/deleteNow/{$instance->hostingId}/$name");
    }

    /**
     * @param array<string, string|int> $search such as ['email' => 'ops@pier.example', 'version' => '2']
     * @return list<Pool>
     */
    public function pools(array $search = [], ?string $companyApiRef = null): array
    {
        return Pool::each($this->get('android', self::question($search, $companyApiRef)));
    }

    /** @return list<Device> */
    public function devices(Pool $pool): array
    {
        return Device::each($this->get("android/devices/{$pool->versionId}"));
    }

    public function removeDevice(Device $device): void
    {
        $this->call('DELETE', "android/devices/{$device->versionId}/{$device->licenceId}");
    }

    /** @return array<string, string|null> */
    private static function question(array $search, ?string $companyApiRef): array
    {
        $pairs = array_map(fn ($field, $value) => "$field|$value", array_keys($search), $search);
        return ['search' => implode(' ', $pairs) ?: null, 'companyApiRef' => $companyApiRef];
    }

    private function get(string $route, array $query = []): array
    {
        $query = http_build_query($query);
        return $this->call('GET', $route . ($query === '' ? '' : "?$query"));
    }

    private function post(string $route, array $body, ?string $key = null): array
    {
        return $this->call('POST', $route, $body, $key);
    }

    /** $key: for a write that is to be done once, however often it is sent. */
    private function call(string $method, string $route, ?array $body = null, ?string $key = null): array
    {
        $headers = ['Authorization: Bearer ' . $this->token()];
        if ($key !== null) {
            $headers[] = "Idempotency-Key: $key";
        }
        if ($body === null) {
            return $this->send($method, $this->address($route), $headers);
        }
        $headers[] = 'Content-Type: application/json';
        $text = json_encode($body, JSON_THROW_ON_ERROR);
        return $this->send($method, $this->address($route), $headers, $text);
    }

    private function token(): string
    {
        if ($this->token === null || time() >= $this->expiresAt) {
            $fields = [
                'grant_type' => 'client_credentials',
                'client_id' => $this->clientId,
                'client_secret' => $this->clientSecret,
            ];
            $headers = ['Content-Type: application/x-www-form-urlencoded'];
            $answer = $this->send('POST', $this->tokenAddress(), $headers, http_build_query($fields));
            $this->token = (string) $answer['access_token'];
            $this->expiresAt = time() + (int) $answer['expires_in'] - self::SPARE_S;
        }
        return $this->token;
    }

    private function send(string $method, string $url, array $headers, string $body = ''): array
    {
        $context = stream_context_create(['http' => [
            'method' => $method,
            'header' => $headers,
            'content' => $body,
            'timeout' => $this->timeoutSeconds,
            'follow_location' => 0,
            'ignore_errors' => true,
        ]]);
        $text = @file_get_contents($url, false, $context);
        if ($text === false) {
            throw new PlatformException(0, 'the address could not be reached');
        }
        $status = (int) (explode(' ', $http_response_header[0])[1] ?? 0);
        $answer = $text === '' ? [] : json_decode($text, true);
        if ($status >= 200 && $status < 300 && is_array($answer)) {
            return $answer;
        }
        throw new PlatformException($status, $answer['message'] ?? 'no JSON', $answer['property'] ?? null);
    }
}
