<?php

declare(strict_types=1);

namespace Platform;

/** A device that uses a licence. */
final class Device extends Entity
{
    public int $licenceId;
    public string $uid;
    public ?string $pingDate = null;
    public int $blocked;
    public int $versionCode;
    public int $versionId;
    public string $name;
    public string $model;
    public string $manufacturer;
    public string $version;
    public int $isRental;
}
