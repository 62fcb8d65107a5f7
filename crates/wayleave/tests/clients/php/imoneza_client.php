<?php

declare(strict_types=1);

/**
 * The published PHP client of the content APIs (imoneza/imoneza-php-api 1.3.1), unchanged, in both
 * environments of a demonstration: every call it has, the objects that it makes of the answers, and
 * its exceptions.
 *
 *     php imoneza_client.php FOLDER PATH/demo.json
 *
 * FOLDER is a checkout of the client, or the folder of its package: it has `src/iMoneza`.
 */

use iMoneza\Connection;
use iMoneza\Data;
use iMoneza\Exception;
use iMoneza\Options\Access\GetResourceFromResourceKey;
use iMoneza\Options\Access\GetResourceFromTemporaryUserToken;
use iMoneza\Options\Management\CallbackResult;
use iMoneza\Options\Management\ExternalSubscriberExport;
use iMoneza\Options\Management\GetProperty;
use iMoneza\Options\Management\GetResource;
use iMoneza\Options\Management\GetResourcesFromProperty;
use iMoneza\Options\Management\SaveResource;
use iMoneza\Options\OptionsInterface;
use iMoneza\Request\Curl;

require __DIR__ . '/checks.php';

// A warning means that the client met a member that it could not use.
set_error_handler(static function (int $level, string $text): bool {
    if ((error_reporting() & $level) !== 0) {
        throw new ErrorException($text, 0, $level);
    }
    return true;
});
spl_autoload_register(static function (string $class) use ($argv): void {
    $file = "{$argv[1]}/src/" . str_replace('\\', '/', $class) . '.php';
    if (is_file($file)) {
        require $file;
    }
});

/** The client with the keys of one environment. */
final class Client
{
    public function __construct(
        public readonly string $url,
        public readonly array $management,
        public readonly array $access,
    ) {
    }

    /** One call with a connection of its own: a handle that has written keeps its method and body. */
    public function send(OptionsInterface $options, ?Curl $curl = null): mixed
    {
        $options->setApiBaseURL($this->url);
        return $this->sendTo($options, $curl);
    }

    /** The same to wherever the options say. */
    public function sendTo(OptionsInterface $options, ?Curl $curl = null): mixed
    {
        [$management, $access] = [$this->management, $this->access];
        $connection = new Connection(
            $management['access_key'],
            $management['secret_key'],
            $access['access_key'],
            $access['secret_key'],
            $curl ?? new Curl(),
        );
        return $connection->request($options, $options->getDataObject());
    }

    public function resource(string $key): Data\Resource
    {
        return $this->send((new GetResource())->setResourceKey($key));
    }

    public function save(string $key, array $members): Data\None
    {
        $options = (new SaveResource())->setExternalKey($key);
        foreach ($members as $name => $value) {
            $options->{"set{$name}"}($value);
        }
        return $this->send($options);
    }

    public function access(string $key, ?string $token = '', ?string $blocker = null): Data\ResourceAccess
    {
        $options = (new GetResourceFromResourceKey())->setResourceKey($key)->setUserToken($token);
        $options->setIP('198.51.100.24')->setResourceURL('https://News.Example/a b?id=42&x=~!*(é)');
        if ($blocker !== null) {
            $options->setAdBlockerStatus($blocker);
        }
        return $this->send($options);
    }

    public function redeem(string $temporary, string $key): Data\ResourceAccess
    {
        $options = (new GetResourceFromTemporaryUserToken())->setTemporaryUserToken($temporary);
        return $this->send($options->setResourceKey($key));
    }
}

/** What is decided: action, reason, and whether there is an address to go to. */
function decision(Data\ResourceAccess $access): string
{
    $there = $access->getAccessActionUrl();
    $where = $there === '' ? '' : (str_contains($there, '/ResourceAccess/?ApiKey=') ? ' elsewhere' : " {$there}");
    return "{$access->getAccessAction()} {$access->getAccessReason()}{$where}";
}

const DENIED = 'Purchase Deny elsewhere';

function propertyIsRead(Client $client): Data\Property
{
    $property = $client->send(new GetProperty());
    same('a property is one', get_class($property), Data\Property::class);
    same('its name', $property->getName(), 'harbour-daily');
    same('its title', $property->getTitle(), 'The Harbour Daily');
    $flags = [
        $property->isDynamicallyCreateResources(), $property->isEnableQuota(),
        $property->isEnableSubscriptions(), $property->isEnableSinglePurchases(),
        $property->isAlwaysRequireAuthentication(), $property->isFreeResourcesRequireAuthentication(),
    ];
    same('its flags', $flags, [false, true, true, true, false, false]);
    same('its quota', [$property->getQuota(), $property->getQuotaPeriod()], [5, Data\Property::QUOTA_PERIOD_MONTHLY]);
    $pricing = $property->getPricingGroups();
    same('its pricing groups are objects', get_class($pricing[0]), Data\PricingGroup::class);
    same('one of them is the default', array_map(static fn ($group) => $group->isDefault(), $pricing), [true]);
    same('what it costs', [$pricing[0]->getPricingModel(), $pricing[0]->getPrice()], ['FixedPrice', 0.35]);
    $lasts = [$pricing[0]->getExpirationPeriodUnit(), $pricing[0]->getExpirationPeriodValue()];
    same('how long that lasts', $lasts, ['Days', 30]);
    $groups = $property->getSubscriptionGroups();
    same('its subscription groups are objects', get_class($groups[0]), Data\SubscriptionGroup::class);
    $said = [$groups[0]->getName(), (float) $groups[0]->getPrice(), $groups[0]->getPeriod(), $groups[0]->getPaywallDescription()];
    same('what they say', $said, ['all-access', 7.5, 'Monthly', 'Everything, every day']);
    return $property;
}

function resourcesAreRead(Client $client, array $keys): void
{
    $all = $client->send(new GetResourcesFromProperty());
    same('a list is a collection', get_class($all), Data\ResourceCollection::class);
    $found = [];
    foreach ($all as $resource) {
        $found[] = $resource->getExternalKey();
        $fits = $resource->getPublicationDate() instanceof DateTime
            && $resource->getPricingGroup() instanceof Data\PricingGroup
            && is_array($resource->getResourcePricingTiers());
        check("{$resource->getExternalKey()} of the list has its objects", $fits);
    }
    same('the list has every page', array_slice($found, 0, count($keys)), $keys);
    $one = $client->resource('Story-1');
    $said = [$one->getName(), $one->getExternalKey(), $one->isActive(), $one->getTitle(), $one->getURL(), $one->getByline()];
    same('one page', $said, ['Tide tables', 'Story-1', true, 'Tide tables', 'https://www.example.com/Story-1', '']);
    same('its pricing', [$one->getPricingModel(), $one->getExpirationPeriodUnit()], ['Inherit', 'Never']);
    same('its pricing group', $one->getPricingGroup()->getName(), 'Standard');
    same('its property is left out', $one->getProperty(), null);
    same('its tiers', $client->resource('by-age')->getResourcePricingTiers()[1]['Tier'], 1440);
    throws('a page that is not there', Exception\NotFound::class, 404, static fn () => $client->resource('nowhere'));
}

function resourcesAreSaved(Client $client, Data\Property $property): void
{
    $group = $property->getPricingGroups()[0]->getPricingGroupID();
    $members = [
        'Name' => 'Harbour report', 'Title' => 'Was der Hafenbericht über Ebbe & Flut sagt', 'Byline' => 'by Zoë',
        'Description' => str_repeat('Ein <langer> "Satz". ', 90), 'URL' => 'https://news.example/a?b=c&d=é',
        'PublicationDate' => new DateTime('2027-03-01T06:30:00+02:00'), 'PricingGroupId' => $group,
        'PricingModel' => SaveResource::PRICING_MODEL_FIXED_PRICE, 'Price' => 0.35, 'Active' => true,
        'ExpirationPeriodUnit' => SaveResource::EXPIRATION_PERIOD_WEEKS, 'ExpirationPeriodValue' => 2,
        'PaywallDescription' => 'Two weeks', 'PaywallShortDescription' => '2 w',
    ];
    same('a page is made', get_class($client->save('Made-1', $members)), Data\None::class);
    $made = $client->resource('Made-1');
    same('its texts', [$made->getTitle(), $made->getByline(), $made->getURL(), $made->getDescription()], [$members['Title'], 'by Zoë', $members['URL'], $members['Description']]);
    same('its date', $made->getPublicationDate()->format('c'), '2027-03-01T04:30:00+00:00');
    same('its price', [$made->getPricingModel(), $made->getPrice(), $made->getExpirationPeriodUnit(), $made->getExpirationPeriodValue()], ['FixedPrice', 0.35, 'Weeks', 2]);
    same('its texts for readers', [$made->getPaywallDescription(), $made->getPaywallShortDescription()], ['Two weeks', '2 w']);

    $client->save('Made-1', ['Price' => 1]);
    $changed = $client->resource('Made-1');
    same('what is not named stays', [(float) $changed->getPrice(), $changed->getByline(), $changed->getExpirationPeriodValue()], [1.0, 'by Zoë', 2]);
    $client->save('Made-1', ['Active' => false]);
    same('a page is let go', $client->resource('Made-1')->isActive(), false);
    same('and is open then', decision($client->access('Made-1')), 'Grant UnknownResource');
    $client->save('Made-1', ['Active' => true]);
    $client->save('Made-1', ['PricingGroup' => ['PricingGroupID' => $group, 'Name' => 'not read']]);

    foreach ((new ReflectionClass(SaveResource::class))->getConstants() as $name => $model) {
        if (str_starts_with($name, 'PRICING_MODEL_') && !str_ends_with($model, 'Tiered')) {
            $target = ['TargetConversionRate' => 0.2, 'TargetConversionPriceFloor' => 0.1, 'TargetConversionHitsPerRecalculationPeriod' => 100];
            $client->save("Model-{$model}", ['Name' => $model, 'PricingModel' => $model, 'Price' => 0.5] + $target);
            $saved = $client->resource("Model-{$model}");
            $said = [$saved->getPricingModel(), $saved->getPrice(), $saved->getTargetConversionRate(), $saved->getTargetConversionPriceFloor(), $saved->getTargetConversionHitsPerRecalculationPeriod()];
            same("the model {$model}", $said, [$model, 0.5, 0.2, 0.1, 100]);
        }
        if (str_starts_with($name, 'EXPIRATION_PERIOD_')) {
            $client->save('Made-1', ['ExpirationPeriodUnit' => $model]);
            same("the period {$model}", $client->resource('Made-1')->getExpirationPeriodUnit(), $model);
        }
    }
    // The client cannot name tiers: a page that has some keeps them, one that has none cannot have such a model.
    $client->save('by-views', ['Title' => 'Read by very many', 'PricingModel' => 'ViewTiered']);
    same('tiers stay', count($client->resource('by-views')->getResourcePricingTiers()), 3);
    $transfer = Exception\TransferError::class;
    foreach ([
        'a model without the tiers it needs' => ['Made-1', ['PricingModel' => 'TimeTiered']],
        'an unknown pricing group' => ['Made-1', ['PricingGroupId' => '0b9d5c1e-7a44-4f0e-9c1d-55aa66bb77cc']],
        'an unknown model' => ['Made-1', ['PricingModel' => 'Sometimes']],
        'a name that is too long' => ['Made-1', ['Name' => str_repeat('n', 51)]],
        'a new page without a name' => ['Made-2', ['Title' => 'A title']],
        'a price that is none' => ['Made-1', ['Price' => -1]],
    ] as $what => [$key, $fields]) {
        throws($what, $transfer, 0, static fn () => $client->save($key, $fields), 'HTTP Error Code of 400 was generated and not caught: {"Message":"');
    }
}

function keysOfEveryForm(Client $client): void
{
    foreach (['a+b', '100%', "a:b@c!d'e(f)", 'CAFÉ-1', '/news/long', 'news//long/', 'id=1234321'] as $key) {
        $client->save($key, ['Name' => 'A key', 'PricingModel' => 'FixedPrice', 'Price' => 0.5]);
        same("the key {$key}", $client->resource($key)->getExternalKey(), $key);
        same("the page {$key}", decision($client->access($key)), 'Grant Quota');
    }
    $client->save('Two%20Words', ['Name' => 'Encoded', 'PricingModel' => 'FixedPrice', 'Price' => 0.5]);
    same('a key that comes encoded', $client->resource('Two%20Words')->getExternalKey(), 'Two Words');
    same('its page', $client->access('Two%20Words')->getResourceName(), 'Encoded');
    // Of a blank as it stands libcurl makes no request.
    throws('a key with a blank', Exception\TransferError::class, CURLE_URL_MALFORMAT, static fn () => $client->access('Two Words'));
    same('no key', decision($client->access('')), 'Grant UnknownResource');
    // What the client signs of these is not what libcurl sends.
    foreach (['x?y=1', 'x#y', 'a/../b'] as $key) {
        throws("the key {$key}", Exception\AuthenticationFailure::class, 401, static fn () => $client->access($key));
    }
}

function exportsAreMade(Client $client, Operator $operator, string $reader): void
{
    $fields = [['Name' => 'AccountNumber', 'Value' => '0077-31']];
    $subscribers = [['SubscriberKey' => 'PRINT-7731', 'MaximumLinkedUsers' => '3', 'ValidationFields' => $fields]];
    done($operator, $operator->call('/subscribers/import', ['Subscribers' => $subscribers]));
    $operator->call('/subscribers/link', ['reader' => $reader, 'values' => ['AccountNumber' => '0077-31']]);

    [$from, $to] = [new DateTime('yesterday'), new DateTime('tomorrow', new DateTimeZone('America/Denver'))];
    $queued = $client->send((new ExternalSubscriberExport())->setStartDate($from)->setEndDate($to));
    same('an export is queued', [get_class($queued), $queued->getStatus()], [Data\ExternalSubscriberExportResponse::class, 'Queued']);
    check('it has an id', is_string($queued->getId()) && $queued->getId() !== '');
    same('from when', $queued->getStartDate()->getTimestamp(), $from->getTimestamp());
    same('until when', $queued->getEndDate()->getTimestamp(), $to->getTimestamp());
    same('nobody is written to', $queued->getNotificationEmailAddress(), null);

    $exports = array_filter($operator->call('/queued')['data'], static fn ($one) => $one['shown_id'] === $queued->getId());
    $export = done($operator, reset($exports));
    $result = $client->send((new CallbackResult())->setCallbackToken($export['token']));
    same('a result is one', get_class($result), Data\CallbackResult::class);
    $data = $result->getData();
    same('whom it has', array_column($data, 'SubscriberKey'), ['PRINT-7731']);
    same('who is linked', $data[0]['Users'][0]['DemographicFields'][0], ['Name' => 'EmailAddress', 'Value' => 'ana@mail.example']);
    $nothing = (new CallbackResult())->setCallbackToken('0b9d5c1e-7a44-4f0e-9c1d-55aa66bb77cc');
    throws('a result that is not there', Exception\NotFound::class, 404, static fn () => $client->send($nothing));
    throws('an export without dates', Exception\TransferError::class, 0, static fn () => $client->send(new ExternalSubscriberExport()), 'Error Code of 400');
}

/** Waits until something queued is done. */
function done(Operator $operator, array $queued): array
{
    for ($tries = 0; $tries < 200 && ($queued['state'] ?? '') !== 'done'; $tries++) {
        usleep(50_000);
        $queued = $operator->call("/queued/{$queued['id']}");
    }
    return $queued;
}

function visitorsAreAnswered(Client $client): void
{
    $first = $client->access('Story-1');
    same('a first visit', decision($first), 'Grant Quota');
    same('whose', [$first->isAnonymousUser(), $first->getUserName(), $first->getFirstName()], [true, 'Anonymous User', '']);
    same('of what', [$first->getPropertyName(), $first->getResourceName(), $first->getPaywallDisplayStyle()], ['harbour-daily', 'Tide tables', 'RedirectAll']);
    same('without cost', [$first->isNoCost(), $first->isAdSupported(), $first->getAdBlockerStatus()], [false, false, 'Unknown']);
    $days = ($first->getUserTokenExpiration()->getTimestamp() - time()) / 86_400;
    check('for how long', $days > 13.99 && $days < 14.01, "{$days} days");
    $quota = $first->getQuota();
    same('the quota', [$quota->isEnabled(), $quota->getHitCount(), $quota->getAllowedHits(), $quota->isMet(), $quota->getPeriodName()], [true, 1, 5, false, 'Monthly']);
    same('since when', $quota->getPeriodStartDate()->format('c'), gmdate('Y-m-01\T00:00:00+00:00'));
    same('no purchase', $first->getPurchase()->isPurchased(), false);
    $none = $first->getSubscription();
    same('no subscription', [$none->isCurrent(), $none->isExpired(), $none->getSubscriptionGroupID()], [false, false, '']);
    check('its date is one', $none->getExpirationDate() instanceof DateTime);

    $token = $first->getUserToken();
    $again = $client->access('Story-1', $token);
    same('the same page once more', [$again->getQuota()->getHitCount(), $again->getUserToken() !== $token], [1, true]);
    foreach (['Story-2', 'Story-3', 'Story-4', 'Story-5'] as $hits => $key) {
        $seen = $client->access($key, $again->getUserToken());
        same("page {$key}", [$seen->getQuota()->getHitCount(), $seen->getQuota()->isMet()], [$hits + 2, $hits === 3]);
    }
    $denied = $client->access('fixed-price', $token);
    same('the quota is used up', decision($denied), DENIED);
    check('where to', str_contains($denied->getAccessActionUrl(), 'ResourceKey=fixed-price') && str_contains($denied->getAccessActionUrl(), '?'));
    same('what was seen stays open', decision($client->access('Story-3', $token)), 'Grant Quota');
    foreach (['no token' => null, 'a token that is none' => 'junk', 'a token of another' => '0b9d5c1e-7a44-4f0e-9c1d-55aa66bb77cc|639400000000000000|Zk3QpLm9', 'a token that was edited' => strtoupper($token)] as $what => $other) {
        $fresh = $client->access('fixed-price', $other);
        same($what, [decision($fresh), $fresh->isAnonymousUser(), $fresh->getQuota()->getHitCount()], ['Grant Quota', true, 1]);
    }
    foreach (['free' => 'Grant Free', 'sign-in' => 'Authenticate Deny elsewhere', 'subscribers' => 'Grant Quota', 'api-validation' => 'Grant UnknownResource'] as $key => $wanted) {
        same("the page {$key}", decision($client->access($key)), $wanted);
    }
    same('what is free costs nothing', $client->access('free')->isNoCost(), true);
}

function advertisementsPay(Client $client, Operator $operator): void
{
    $paid = ['enabled' => true, 'title' => 'Thanks', 'message' => 'Ads pay for this page.'];
    $operator->settings(['ad_supported' => $paid]);
    foreach ([null, '', 'Unknown', 'DetectionNotPerformed', 'AdBlockerNotDetected', 'AdBlockerDetected'] as $status) {
        $shown = $client->access('Story-1', '', $status);
        same("the blocker {$status}", [decision($shown), $shown->getAdBlockerStatus()], ['Grant AdSupported', $status ?: 'Unknown']);
    }
    same('what is said then', [$shown->isAdSupported(), $shown->getAdSupportedMessageTitle(), $shown->getAdSupportedMessage(), $shown->isNoCost()], [true, 'Thanks', 'Ads pay for this page.', true]);
    $operator->settings(['ad_supported' => ['on_blocker' => 'require']]);
    same('a blocker that must go', decision($client->access('Story-1', '', 'AdBlockerDetected')), DENIED);
    same('none', decision($client->access('Story-1', '', 'AdBlockerNotDetected')), 'Grant AdSupported');
    $operator->settings(['ad_supported' => null]);
}

function readersAreKnown(Client $client, Operator $operator, string $reader, Data\Property $property): void
{
    $signIn = static fn (array $more = []) => $operator->call("/readers/{$reader}/sign-in", ['key' => $client->access['access_key']] + $more)['temporary_user_token'];
    $before = $client->access('Story-1');
    $temporary = $signIn(['user_token' => $before->getUserToken()]);
    $known = $client->redeem($temporary, 'Story-2');
    same('who signs in', [$known->isAnonymousUser(), $known->getUserName(), $known->getFirstName()], [false, 'areader', 'Ana']);
    same('what they saw before is theirs', [decision($known), $known->getQuota()->getHitCount()], ['Grant Quota', 2]);
    $second = $client->redeem($temporary, 'Story-2');
    same('the token counts once', [$second->isAnonymousUser(), $second->getQuota()->getHitCount()], [true, 1]);
    same('a token that is none', $client->redeem('tut5f2c9d1b7e', 'Story-1')->isAnonymousUser(), true);
    $token = $known->getUserToken();
    same('the sign-in counts', decision($client->access('sign-in', $token)), 'Grant Free');
    $session = $client->redeem($signIn(['session_only' => true]), 'Story-1');
    same('for a session', [$session->getUserTokenExpiration(), $session->getUserName()], [null, 'areader']);

    $operator->call("/readers/{$reader}/change", ['card' => 'pays']);
    $operator->call("/readers/{$reader}/buy", ['resource' => 'fixed-price']);
    $bought = $client->access('fixed-price', $token);
    same('what was bought', [decision($bought), $bought->getPurchase()->isPurchased()], ['Grant Purchase', true]);
    same('nothing else was', $client->access('variable-price', $token)->getPurchase()->isPurchased(), false);

    $group = $property->getSubscriptionGroups()[0]->getSubscriptionGroupID();
    $operator->call("/readers/{$reader}/subscribe", ['group' => $group]);
    $open = $client->access('subscribers', $token);
    $subscription = $open->getSubscription();
    same('what is subscribed to', [decision($open), $subscription->isCurrent(), $subscription->isExpired(), $subscription->getSubscriptionGroupID()], ['Grant Subscription', true, false, $group]);
    $days = ($subscription->getExpirationDate()->getTimestamp() - time()) / 86_400;
    check('for a month', $days > 27 && $days < 32, "{$days} days");
    $operator->call("/readers/{$reader}/give-subscription", ['group' => $group, 'expires_at' => time() - 1]);
    $over = $client->access('Story-5', $token)->getSubscription();
    same('a subscription that is over', [$over->isCurrent(), $over->isExpired()], [false, true]);

    $operator->call("/readers/{$reader}/change", ['role' => 'manager']);
    same('who works there', decision($client->access('variable-price', $token)), 'Grant PropertyUser');
    $operator->call("/readers/{$reader}/change", ['role' => 'none']);
}

function refusalsAreExceptions(Client $client): void
{
    [$management, $access] = [$client->management, $client->access];
    $unauthentic = Exception\AuthenticationFailure::class;
    $wrong = new Client($client->url, ['secret_key' => 'another'] + $management, ['secret_key' => 'another'] + $access);
    throws('a wrong secret for management', $unauthentic, 401, static fn () => $wrong->send(new GetProperty()), '"Message":"');
    throws('a wrong secret for access', $unauthentic, 401, static fn () => $wrong->access('Story-1'), '"Message":"');
    $nobody = ['access_key' => '0b9d5c1e-7a44-4f0e-9c1d-55aa66bb77cc', 'secret_key' => 'any'];
    $unknown = new Client($client->url, $nobody, $nobody);
    throws('an unknown key', $unauthentic, 401, static fn () => $unknown->send(new GetProperty()));
    $swapped = new Client($client->url, $access, $management);
    throws('the keys for access at management', Exception\AccessDenied::class, 403, static fn () => $swapped->send(new GetProperty()), '"Message":"');
    throws('the keys for management at access', Exception\AccessDenied::class, 403, static fn () => $swapped->access('Story-1'));
    $foreign = (new GetProperty())->setAccessKey($access['access_key']);
    throws('a path with another key', Exception\AccessDenied::class, 403, static fn () => $client->send($foreign));
    $curl = new Curl();
    $client->send((new SaveResource())->setExternalKey('Story-1')->setTitle('Tide tables'), $curl);
    throws('a handle that has written', $unauthentic, 401, static fn () => $client->send(new GetProperty(), $curl));
    $nowhere = new Client('http://127.0.0.1:1', $management, $access);
    throws('no connection', Exception\TransferError::class, CURLE_COULDNT_CONNECT, static fn () => $nowhere->send(new GetProperty()));
    // An address that answers 200 with a page for people.
    $page = (new GetProperty())->setApiBaseURL("{$client->url}/ResourceAccess/?ApiKey={$access['access_key']}&ResourceKey=Story-1&rest=");
    throws('an answer that is not JSON', Exception\DecodingError::class, JSON_ERROR_SYNTAX, static fn () => $client->sendTo($page));
}

$demo = demo($argv[2]);
foreach (['live' => '/prod', 'test' => '/stag'] as $environment => $prefix) {
    $keys = $demo[$environment];
    echo "{$environment}\n";
    $client = new Client($keys['url'], $keys['management'], $keys['access']);
    $operator = new Operator($demo['admin']['url'], $demo['admin']['token'], $environment, $keys['property']['id']);
    $property = propertyIsRead($client);
    $prefixed = new Client($keys['url'] . $prefix, $keys['management'], $keys['access']);
    same('a base address with a path', $prefixed->send(new GetProperty())->getName(), 'harbour-daily');
    resourcesAreRead($client, $keys['property']['resources']);
    resourcesAreSaved($client, $property);
    keysOfEveryForm($client);
    visitorsAreAnswered($client);
    advertisementsPay($client, $operator);
    $person = ['user_name' => 'areader', 'first_name' => 'Ana', 'email' => 'ana@mail.example'];
    $reader = $operator->call('/readers', $person)['id'];
    readersAreKnown($client, $operator, $reader, $property);
    exportsAreMade($client, $operator, $reader);
    refusalsAreExceptions($client);
}
finish();
