<?php

// Makes a demonstration of a hosted instance and buys it, through the platform API:
//   php platform.php URL CLIENT_ID CLIENT_SECRET [NAME]
// Use the test environment: in live a saved card is charged.

declare(strict_types=1);

use Platform\LineItem;
use Platform\PlatformException;
use Platform\Provider;

spl_autoload_register(function (string $class): void {
    require __DIR__ . '/src/' . substr(strrchr($class, '\\'), 1) . '.php';
});

[, $url, $id, $secret] = $argv + [null, null, null, null];
if ($secret === null) {
    fwrite(STDERR, "usage: php platform.php URL CLIENT_ID CLIENT_SECRET [NAME]\n");
    exit(2);
}
$name = $argv[4] ?? 'demo' . getmypid();

try {
    $provider = new Provider($url, $id, $secret);
    $account = $provider->account();
    printf("%s, %d products\n", $account->userName, count($provider->products()));

    $region = $provider->regions()[0];
    $quote = $provider->checkout([LineItem::demo($name, 2, ['region_id' => $region->regionId])]);
    $provider->process($quote, autoPay: false);
    $demo = $provider->instance($name);
    printf("demonstration %d: %s in %s\n", $demo->hostingId, $demo->accountName, $demo->region);

    $quote = $provider->checkout([LineItem::change($demo, $demo->displays)], "buy-$name");
    $order = $provider->process($quote, autoPay: true, key: "accept-{$quote->orderId}");
    printf("order %d: %s, %.2f %s\n", $order->orderId, $order->state, $order->total, $order->currency);
} catch (PlatformException $refused) {
    fprintf(STDERR, "%d: %s\n", $refused->getCode(), $refused->getMessage());
    exit(1);
}
