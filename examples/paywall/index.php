<?php

// A site whose pages are protected on the server: nobody gets the text of a page before the paywall
// has said so. It is told who it is by the environment, see examples/README.md.

declare(strict_types=1);

spl_autoload_register(fn (string $class) => require __DIR__ . "/src/$class.php");

const COOKIE = 'wayleave-reader';

$site = getenv('SITE_URL') ?: 'http://' . $_SERVER['HTTP_HOST'];
$paywall = new Paywall(getenv('WAYLEAVE_URL'), getenv('WAYLEAVE_ACCESS_KEY'), getenv('WAYLEAVE_ACCESS_SECRET'));
$articles = require __DIR__ . '/articles.php';

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$article = $articles[substr($path, 1)] ?? null;
if ($path === '/') {
    $links = array_map(fn ($key, $article) => "<li><a href=\"/$key\">{$article['title']}</a></li>", array_keys($articles), $articles);
    exit(page('The Harbour Daily', '<ul>' . implode($links) . '</ul>'));
}
if ($article === null) {
    http_response_code(404);
    exit(page('Not found', '<p>There is no such page.</p>'));
}

$key = substr($path, 1);
$pageUrl = $site . $path;
$teaser = '<p>' . $article['teaser'] . '</p>';
$once = $_GET['iMonezaTUT'] ?? '';
$known = $_COOKIE[COOKIE] ?? '';
try {
    $access = is_string($once) && $once !== ''
        ? $paywall->accessOnce($key, $pageUrl, $_SERVER['REMOTE_ADDR'], $once)
        : $paywall->access($key, $pageUrl, $_SERVER['REMOTE_ADDR'], is_string($known) ? $known : '');
} catch (RuntimeException | JsonException $failure) {
    // Whatever goes wrong, the text stays where it is.
    error_log($failure->getMessage());
    http_response_code(503);
    header('Retry-After: 5');
    exit(page($article['title'], $teaser . '<p>The rest cannot be shown for the moment.</p>'));
}

setcookie(COOKIE, $access->userToken, [
    'expires' => $access->tokenEnds,
    'path' => '/',
    'httponly' => true,
    'samesite' => 'Lax',
    'secure' => str_starts_with($site, 'https:'),
]);
header('Cache-Control: private, no-store');
if ($access->actionUrl !== '') {
    // Readers go to the paywall, and come back to this page with a token that counts once.
    header('Location: ' . $access->actionUrl . '&originalURL=' . rawurlencode($pageUrl), true, 302);
    exit(page($article['title'], $teaser));
}
echo page($article['title'], $teaser . '<div class="paid"><p>' . $article['text'] . '</p></div>', $article);

/** A page; for an article with what the spider and search engines read. */
function page(string $title, string $body, ?array $article = null): string
{
    $head = '';
    if ($article !== null) {
        $data = [
            '@context' => 'https://schema.org',
            '@type' => 'NewsArticle',
            'headline' => $title,
            'isAccessibleForFree' => false,
            'hasPart' => [
                '@type' => 'WebPageElement',
                'isAccessibleForFree' => false,
                'cssSelector' => '.paid',
            ],
        ];
        $head = '<meta name="description" content="' . htmlspecialchars($article['teaser']) . '">'
            . '<script type="application/ld+json">' . json_encode($data, JSON_HEX_TAG) . '</script>'
            . '<script type="application/imoneza"><Resource>' . $article['settings'] . '</Resource></script>';
    }
    return "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>$title</title>$head</head>"
        . "<body><h1>$title</h1>$body</body></html>\n";
}
