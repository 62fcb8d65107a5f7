<?php

declare(strict_types=1);

/** What a reader may see, and the token by which the reader is known from now on. */
final class Access
{
    public readonly string $userToken;
    /** Seconds since 1970; 0: the token is forgotten when the browser ends. */
    public readonly int $tokenEnds;
    /** Where the reader can sign in and pay; empty: the page is to be shown. */
    public readonly string $actionUrl;
    public readonly string $reason;

    public function __construct(array $answer)
    {
        $this->userToken = $answer['UserToken'];
        $this->tokenEnds = (int) strtotime((string) ($answer['UserTokenExpiration'] ?? ''));
        $this->actionUrl = $answer['AccessActionURL'];
        $this->reason = $answer['AccessReason'];
    }
}
