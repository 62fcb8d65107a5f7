<?php

declare(strict_types=1);

namespace Platform;

/** Where an instance can run. */
final class Region extends Entity
{
    public int $regionId;
    public string $region;
}
