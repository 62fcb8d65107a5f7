<?php

declare(strict_types=1);

namespace Platform;

/** How an instance can look. */
final class Theme extends Entity
{
    public int $themeId;
    public string $theme;
}
