<?php

declare(strict_types=1);

namespace Platform;

/** What the API refused: its code is the HTTP status, 0 where there was no answer. */
final class PlatformException extends \RuntimeException
{
    /** $property: the field at fault, where there is one. */
    public function __construct(int $status, string $message, public readonly ?string $property = null)
    {
        parent::__construct($message, $status);
    }
}
