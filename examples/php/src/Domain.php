<?php

declare(strict_types=1);

namespace Platform;

/** Below what an instance can lie. */
final class Domain extends Entity
{
    public int $domainId;
    public string $domain;
}
