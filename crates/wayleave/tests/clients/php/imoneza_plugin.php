<?php

declare(strict_types=1);

/**
 * The classes by which the WordPress plugin of 2015 (1.x) calls the content APIs, unchanged, in both
 * environments of a demonstration.
 *
 *     php imoneza_plugin.php FOLDER PATH/demo.json
 *
 * FOLDER has `class.imoneza-api.php` and those beside it. What they ask of WordPress is below.
 */

require __DIR__ . '/checks.php';

define('IMONEZA__DEBUG', false);
// Replaced for each environment below.
define('IMONEZA__RM_API_URL', '');
define('IMONEZA__RA_API_URL', '');
// The classes name it without quotes, which PHP took for the text until 8.0.
define('WP_Error', 'WP_Error');
foreach (['api', 'restfulrequest', 'resourceaccess', 'resourcemanagement'] as $class) {
    require "{$argv[1]}/class.imoneza-{$class}.php";
}

/** The settings of the plugin. */
function get_option(string $name): array
{
    return $name === 'imoneza_options' ? $GLOBALS['imoneza_options'] : [];
}

/** WordPress's client of HTTP, as far as it goes here: a header without a value is sent, too. */
function wp_remote_request(string $url, array $arguments): array
{
    $handle = curl_init($url);
    $headers = [];
    foreach ($arguments['headers'] as $name => $value) {
        $headers[] = $value === '' ? "{$name};" : "{$name}: {$value}";
    }
    curl_setopt_array($handle, [
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_CUSTOMREQUEST => $arguments['method'],
        CURLOPT_HTTPHEADER => $headers,
        CURLOPT_USERAGENT => 'WordPress/4.4; https://news.example',
    ]);
    if ($arguments['body'] !== '') {
        curl_setopt($handle, CURLOPT_POSTFIELDS, $arguments['body']);
    }
    $body = curl_exec($handle);
    return ['response' => ['code' => curl_getinfo($handle, CURLINFO_RESPONSE_CODE)], 'body' => $body];
}

/** What the settings form of the plugin sends of a page. */
function pageOfTheForm(): array
{
    return [
        'ExternalKey' => 17, 'Active' => 1, 'Name' => 'Tide tables', 'Title' => 'Tide tables & more',
        'Byline' => '', 'Description' => '', 'URL' => 'https://news.example/?p=17',
        'PublicationDate' => '2015-12-06T10:00:00', 'PricingModel' => 'TimeTiered', 'Price' => '0.50',
        'ExpirationPeriodUnit' => 'Never', 'ExpirationPeriodValue' => '0',
        'ResourcePricingTiers' => [['Tier' => 0, 'Price' => '0.60'], ['Tier' => 1440, 'Price' => '0.25']],
    ];
}

function manage(iMoneza_ResourceManagement $manager): void
{
    $property = $manager->getProperty();
    same('a property', $property['Title'], 'The Harbour Daily');
    $group = $property['PricingGroups'][0]['PricingGroupID'];
    same('a page that is not managed', $manager->getResource('17'), ['IsManaged' => 0]);
    $form = pageOfTheForm();
    $form['PricingGroup'] = ['PricingGroupID' => $group];
    same('a page is made', $manager->putResource('17', $form)['response']['code'], 200);
    $page = $manager->getResource('17', true);
    same('it is managed', [$page['IsManaged'], $page['ExternalKey'], $page['Active'], $page['Price']], [1, '17', true, 0.5]);
    same('its tiers', array_column($page['ResourcePricingTiers'], 'Price', 'Tier'), [0 => 0.6, 1440 => 0.25]);
    same('its property', $page['Property']['PricingGroups'][0]['PricingGroupID'], $group);
    foreach ([1, 0] as $active) {
        $manager->putResource('17', ['ExternalKey' => '17', 'Active' => $active]);
        same("active is {$active}", $manager->getResource('17')['Active'], $active === 1);
    }
    $manager->putResource('17', ['Active' => 1]);
    throws('a name that is too long', Exception::class, 0, static fn () => $manager->putResource('18', ['Name' => str_repeat('n', 51)]), 'Name');
}

function ask(iMoneza_ResourceAccess $asker, Operator $operator, string $key): void
{
    $address = 'https://News.example/?p=17&title=Ärger und~Möwen+(!)';
    $first = $asker->getResourceAccessDataFromExternalKey('17', $address, '');
    same('a first visit', [$first['AccessAction'], $first['AccessReason'], $first['AccessActionURL']], ['Grant', 'Quota', '']);
    $again = $asker->getResourceAccessDataFromExternalKey('17', $address, $first['UserToken']);
    same('the token is known', $again['Quota']['HitCount'], 1);
    same('a page that is not managed', $asker->getResourceAccessDataFromExternalKey('FrontPage', $address, '')['AccessReason'], 'UnknownResource');
    same('the keys are tried', $asker->getResourceAccessDataFromExternalKey('api-validation', 'api-validation', '')['AccessReason'], 'UnknownResource');
    $reader = $operator->call('/readers', ['user_name' => 'areader'])['id'];
    $temporary = $operator->call("/readers/{$reader}/sign-in", ['key' => $key])['temporary_user_token'];
    $known = $asker->getResourceAccessDataFromTemporaryUserToken('17', $address, $temporary);
    same('a reader', [$known['UserName'], $known['IsAnonymousUser']], ['areader', false]);
}

$demo = demo($argv[2]);
foreach (['live', 'test'] as $environment) {
    echo "{$environment}\n";
    $keys = $demo[$environment];
    [$management, $access] = [$keys['management'], $keys['access']];
    $GLOBALS['imoneza_options'] = [
        'rm_api_key_access' => $management['access_key'], 'rm_api_key_secret' => $management['secret_key'],
        'ra_api_key_access' => $access['access_key'], 'ra_api_key_secret' => $access['secret_key'],
    ];
    [$manager, $asker] = [new iMoneza_ResourceManagement(), new iMoneza_ResourceAccess()];
    [$manager->server, $asker->server] = [$keys['url'], $keys['url']];
    manage($manager);
    $operator = new Operator($demo['admin']['url'], $demo['admin']['token'], $environment, $keys['property']['id']);
    ask($asker, $operator, $access['access_key']);
    $asker->secretKey = 'another';
    same('a wrong secret', array_key_exists('UserToken', $asker->getResourceAccessDataFromExternalKey('17', '', '')), false);
}
finish();
